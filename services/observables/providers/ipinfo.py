"""IPinfo: where an address is and whose it is.

Source: https://ipinfo.io/developers/responses
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
)
from services.observables.providers.fields import collect_facts, is_public_address, quote_segment
from shared.stix import ObservableType as Type


class _Address(msgspec.Struct):
    ip: str
    hostname: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None
    loc: str | None = None
    org: str | None = None
    timezone: str | None = None
    anycast: bool | None = None
    bogon: bool | None = None


class IPinfo(RemoteEnricher):
    """Location, network and host name of an address."""

    name: ClassVar[str] = "ipinfo"
    title: ClassVar[str] = "IPinfo"
    documentation: ClassVar[str] = "https://ipinfo.io/developers/responses"
    base_url: ClassVar[str] = "https://ipinfo.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("token",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 1600
    lifetime: ClassVar[timedelta] = timedelta(days=14)
    test_query: ClassVar[Query] = Query(Type.IPV4, "8.8.8.8")

    def applies(self, query: Query) -> bool:
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{ip}/json` with a bearer token."""
        return Request(
            f"/{quote_segment(query.value)}/json",
            headers={"Accept": "application/json"},
            auth_headers={"Authorization": f"Bearer {key['token']}"},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Country, city, AS, host name. Of an address that is nobody's it only says that."""
        found = msgspec.json.decode(content, type=_Address)
        if found.bogon:
            return None
        number, _, holder = (found.org or "").partition(" ")
        of_system = number.startswith("AS") and number[2:].isdecimal()
        facts = collect_facts(
            hostname=found.hostname,
            country=found.country,
            region=found.region,
            city=found.city,
            location=found.loc,
            timezone=found.timezone,
            asn=number if of_system else None,
            organisation=holder if of_system else found.org,
            anycast=found.anycast,
        )
        related: list[RelatedObservable] = []
        if found.hostname:
            # The word of whoever has the address: the name need not resolve to it.
            related.append(RelatedObservable("related-to", Type.DOMAIN, found.hostname))
        if of_system:
            related.append(RelatedObservable("belongs-to", Type.ASN, number))
        return Finding(facts, related=tuple(related))

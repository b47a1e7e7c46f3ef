"""IPinfo: the location and the network of an address.

Source: https://ipinfo.io/developers/responses
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import collect_facts, is_public, quote_segment, relations
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
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{ip}/json` with a bearer token."""
        return Request(
            f"/{quote_segment(query.value)}/json",
            headers={"Accept": "application/json"},
            auth_headers={"Authorization": f"Bearer {key['token']}"},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read country, city, network and host name; about a bogon nothing else is known."""
        address = msgspec.json.decode(content, type=_Address)
        if address.bogon:
            return None
        # Such as "AS15169 Google LLC", or an organisation without a number.
        number, _, holder = (address.org or "").partition(" ")
        has_number = number.startswith("AS") and number[2:].isdecimal()
        asn = number if has_number else None
        facts = collect_facts(
            hostname=address.hostname,
            country=address.country,
            region=address.region,
            city=address.city,
            location=address.loc,
            timezone=address.timezone,
            asn=asn,
            organisation=holder if has_number else address.org,
            anycast=address.anycast,
        )
        # The owner of an address chooses its host name; it need not resolve to the address.
        related = (
            *relations("related-to", Type.DOMAIN, [address.hostname]),
            *relations("belongs-to", Type.ASN, [asn]),
        )
        return Finding(facts, related=related)

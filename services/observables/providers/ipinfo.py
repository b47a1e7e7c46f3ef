"""IPinfo: where an address is and whose it is.

Source: https://ipinfo.io/developers/responses
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import (
    Asked,
    Finding,
    Rate,
    Related,
    RemoteEnricher,
    Request,
)
from services.observables.providers.reading import public_address, quoted, told
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
    base: ClassVar[str] = "https://ipinfo.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("token",)
    rate: ClassVar[Rate] = Rate(60, 60)
    daily: ClassVar[int | None] = 1600
    lifetime: ClassVar[timedelta] = timedelta(days=14)
    harmless: ClassVar[Asked] = Asked(Type.IPV4, "8.8.8.8")

    def applies(self, asked: Asked) -> bool:
        """Addresses of the public network."""
        return asked.type in self.types and public_address(asked.value)

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:
        """`GET /{ip}/json` with a bearer token."""
        return Request(
            f"/{quoted(asked.value)}/json",
            headers={"Accept": "application/json"},
            auth_headers={"Authorization": f"Bearer {key['token']}"},
        )

    def read(self, asked: Asked, content: bytes) -> Finding | None:  # noqa: ARG002
        """Country, city, AS, host name. Of an address that is nobody's it only says that."""
        found = msgspec.json.decode(content, type=_Address)
        if found.bogon:
            return None
        number, _, holder = (found.org or "").partition(" ")
        of_system = number.startswith("AS") and number[2:].isdecimal()
        facts = told(
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
        related: list[Related] = []
        if found.hostname:
            # The word of whoever has the address: the name need not resolve to it.
            related.append(Related("related-to", Type.DOMAIN, found.hostname))
        if of_system:
            related.append(Related("belongs-to", Type.ASN, number))
        return Finding(facts, related=tuple(related))

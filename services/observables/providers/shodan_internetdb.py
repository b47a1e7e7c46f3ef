"""Shodan InternetDB: open ports, host names and vulnerabilities of an address, weekly, without a key.

Source: https://internetdb.shodan.io/ (its OpenAPI description).
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
from services.observables.providers.reading import listed, public_address, quoted, told
from shared.stix import ObservableType as Type


class _Host(msgspec.Struct):
    ip: str
    ports: list[int]
    hostnames: list[str]
    cpes: list[str]
    tags: list[str]
    vulns: list[str]


class ShodanInternetDB(RemoteEnricher):
    """What Shodan's weekly scan saw of an address."""

    name: ClassVar[str] = "shodan_internetdb"
    title: ClassVar[str] = "Shodan InternetDB"
    documentation: ClassVar[str] = "https://internetdb.shodan.io/"
    base: ClassVar[str] = "https://internetdb.shodan.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    rate: ClassVar[Rate] = Rate(60, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    harmless: ClassVar[Asked] = Asked(Type.IPV4, "1.1.1.1")

    def applies(self, asked: Asked) -> bool:
        """Addresses of the public network."""
        return asked.type in self.types and public_address(asked.value)

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /{ip}`."""
        return Request(f"/{quoted(asked.value)}")

    def read(self, asked: Asked, content: bytes) -> Finding | None:  # noqa: ARG002
        """Ports, names, CPEs, tags, CVEs. An unknown address is a 404."""
        host = msgspec.json.decode(content, type=_Host)
        facts = told(
            ports=listed(host.ports),
            hostnames=listed(host.hostnames),
            cpes=listed(host.cpes),
            tags=listed(host.tags),
            vulnerabilities=listed(host.vulns),
        )
        names = (Related("resolves-to", Type.DOMAIN, name, inward=True) for name in host.hostnames)
        holes = (Related("related-to", Type.VULNERABILITY, hole) for hole in host.vulns)
        return Finding(facts, related=(*names, *holes))

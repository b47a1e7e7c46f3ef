"""Shodan: open ports, names, network and vulnerabilities of a host at its last scan.

Source: https://developer.shodan.io/api
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type

_WEIGHTS: Final[Mapping[str, tuple[float, str]]] = {
    "c2": (0.7, "a command-and-control server was seen on it."),
    "malware": (0.6, "malware was seen on it."),
    "compromised": (0.4, "it shows signs of being compromised."),
}


class _Host(msgspec.Struct):
    ip_str: str
    ports: list[int]
    hostnames: list[str] | None = None
    domains: list[str] | None = None
    tags: list[str] | None = None
    vulns: list[str] | dict[str, Any] | None = None
    org: str | None = None
    isp: str | None = None
    asn: str | None = None
    os: str | None = None
    country_code: str | None = None
    city: str | None = None
    last_update: str | None = None


class Shodan(RemoteEnricher):
    """The last scan of a host, without the banners."""

    name: ClassVar[str] = "shodan"
    title: ClassVar[str] = "Shodan"
    documentation: ClassVar[str] = "https://developer.shodan.io/api"
    base_url: ClassVar[str] = "https://api.shodan.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    test_query: ClassVar[Query] = Query(Type.IPV4, "8.8.8.8")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /shodan/host/{ip}` without banners; Shodan takes the key only as a parameter."""
        return Request(
            f"/shodan/host/{quote_segment(query.value)}", {"key": key["key"], "minify": "true"}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read ports, names and network; an unknown host is a 404. Tags for malware are claims."""
        host = msgspec.json.decode(content, type=_Host)
        tags = host.tags or []
        facts = collect_facts(
            ports=distinct(host.ports),
            hostnames=distinct(host.hostnames),
            domains=distinct(host.domains),
            tags=distinct(tags),
            vulnerabilities=distinct(host.vulns),
            organisation=host.org,
            isp=host.isp,
            asn=host.asn,
            operating_system=host.os,
            country=host.country_code,
            city=host.city,
            last_seen=host.last_update,
        )
        weights = tuple(Weight(*weight) for tag, weight in _WEIGHTS.items() if tag in tags)
        related = (
            *relations("resolves-to", Type.DOMAIN, host.hostnames, inward=True),
            *relations("belongs-to", Type.ASN, [host.asn]),
            *relations("related-to", Type.VULNERABILITY, host.vulns),
        )
        return Finding(facts, weights, related)

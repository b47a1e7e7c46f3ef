"""Shodan: open ports, names, network and vulnerabilities of a host, as of its last scan.

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
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public_address,
    quote_segment,
)
from shared.stix import ObservableType as Type

_VOICES: Final[Mapping[str, tuple[float, str]]] = {
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
    """What Shodan knows of a host, without the banners."""

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
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /shodan/host/{ip}` without banners; the key can only be a parameter."""
        return Request(
            f"/shodan/host/{quote_segment(query.value)}", {"key": key["key"], "minify": "true"}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Ports, names, network; tags for malware are voices. An unknown host is a 404."""
        host = msgspec.json.decode(content, type=_Host)
        tags = host.tags or []
        facts = collect_facts(
            ports=distinct(host.ports),
            hostnames=distinct(host.hostnames or ()),
            domains=distinct(host.domains or ()),
            tags=distinct(tags),
            vulnerabilities=distinct(host.vulns or ()),
            organisation=host.org,
            isp=host.isp,
            asn=host.asn,
            operating_system=host.os,
            country=host.country_code,
            city=host.city,
            last_seen=host.last_update,
        )
        weights = tuple(Weight(*voice) for tag, voice in _VOICES.items() if tag in tags)
        related = [
            RelatedObservable("resolves-to", Type.DOMAIN, name, inward=True)
            for name in host.hostnames or ()
        ]
        if host.asn:
            related.append(RelatedObservable("belongs-to", Type.ASN, host.asn))
        related += [
            RelatedObservable("related-to", Type.VULNERABILITY, hole) for hole in host.vulns or ()
        ]
        return Finding(facts, weights, tuple(related))

"""Shodan InternetDB: open ports, host names and vulnerabilities of an address. No key needed.

Source: https://internetdb.shodan.io/ (its OpenAPI description).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type


class _Host(msgspec.Struct):
    ip: str
    ports: list[int]
    hostnames: list[str]
    cpes: list[str]
    tags: list[str]
    vulns: list[str]


class ShodanInternetDB(RemoteEnricher):
    """Shodan's weekly scan of an address."""

    name: ClassVar[str] = "shodan_internetdb"
    title: ClassVar[str] = "Shodan InternetDB"
    documentation: ClassVar[str] = "https://internetdb.shodan.io/"
    base_url: ClassVar[str] = "https://internetdb.shodan.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{ip}`."""
        return Request(f"/{quote_segment(query.value)}")

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read ports, names, CPEs, tags and CVEs; an unknown address is a 404."""
        host = msgspec.json.decode(content, type=_Host)
        facts = collect_facts(
            ports=distinct(host.ports),
            hostnames=distinct(host.hostnames),
            cpes=distinct(host.cpes),
            tags=distinct(host.tags),
            vulnerabilities=distinct(host.vulns),
        )
        related = (
            *relations("resolves-to", Type.DOMAIN, host.hostnames, inward=True),
            *relations("related-to", Type.VULNERABILITY, host.vulns),
        )
        return Finding(facts, related=related)

"""LeakIX: services of a host, and data that it leaks.

Source: https://leakix.net/api-documentation
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    autonomous_system,
    collect_facts,
    distinct,
    first_present,
    is_public,
    latest,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type


class _Certificate(msgspec.Struct):
    fingerprint: str | None = None


class _Tls(msgspec.Struct):
    certificate: _Certificate | None = None


class _Software(msgspec.Struct):
    name: str | None = None
    version: str | None = None


class _Service(msgspec.Struct):
    software: _Software | None = None


class _Dataset(msgspec.Struct):
    infected: bool | None = None


class _Leak(msgspec.Struct):
    severity: str | None = None
    dataset: _Dataset | None = None


class _Place(msgspec.Struct):
    country_iso_code: str | None = None


class _Network(msgspec.Struct):
    organization_name: str | None = None
    asn: int | None = None
    network: str | None = None


class _Event(msgspec.Struct):
    ip: str
    port: str | int | None = None
    host: str | None = None
    event_source: str | None = None
    protocol: str | None = None
    time: str | None = None
    tags: list[str] | None = None
    ssl: _Tls | None = None
    service: _Service | None = None
    leak: _Leak | None = None
    geoip: _Place | None = None
    network: _Network | None = None

    def port_number(self) -> int | None:
        return int(self.port) if self.port and str(self.port).isdecimal() else None

    def software(self) -> str | None:
        software = self.service and self.service.software
        return " ".join(filter(None, (software.name, software.version))) if software else None

    def certificate_fingerprint(self) -> str | None:
        certificate = self.ssl and self.ssl.certificate
        return certificate.fingerprint if certificate else None

    def is_infected(self) -> bool:
        dataset = self.leak and self.leak.dataset
        return bool(dataset and dataset.infected)


class _Host(msgspec.Struct, rename="pascal"):
    services: list[_Event] | None
    leaks: list[_Event] | None


class LeakIX(RemoteEnricher):
    """LeakIX's scans of an address."""

    name: ClassVar[str] = "leakix"
    title: ClassVar[str] = "LeakIX"
    documentation: ClassVar[str] = "https://leakix.net/api-documentation"
    base_url: ClassVar[str] = "https://leakix.net"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 100
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    max_body: ClassVar[int] = 8 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /host/{ip}` as JSON, with the key, if any, in a header."""
        return Request(
            f"/host/{quote_segment(query.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"api-key": key["key"]} if key else {},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read services and leaks; an unknown host is a 404, or has neither."""
        host = msgspec.json.decode(content, type=_Host)
        leaks = host.leaks or []
        events = [*(host.services or ()), *leaks]
        if not events:
            return None
        infected = any(event.is_infected() for event in leaks)
        names = distinct(event.host for event in events if event.host != query.value)
        facts = (
            _service_facts(events)
            | _leak_facts(leaks)
            | collect_facts(hostnames=names, infected=infected)
            | _network_facts(events)
        )
        weights = (Weight(0.3, "a data set on it carries a ransom note."),) if infected else ()
        certificates = distinct(event.certificate_fingerprint() for event in events)
        related = (
            *relations("resolves-to", Type.DOMAIN, names, inward=True),
            *relations("belongs-to", Type.ASN, dict.fromkeys(_asns(events))),
            *relations("related-to", Type.X509_SHA256, certificates),
        )
        return Finding(facts, weights, related)


def _service_facts(events: list[_Event]) -> dict[str, Fact]:
    return collect_facts(
        ports=distinct(event.port_number() for event in events),
        protocols=distinct(event.protocol for event in events),
        software=distinct(event.software() for event in events),
        tags=distinct(tag for event in events for tag in event.tags or ()),
        last_seen=latest(event.time for event in events),
    )


def _leak_facts(leaks: list[_Event]) -> dict[str, Fact]:
    return collect_facts(
        leaks=len(leaks),
        leak_sources=distinct(event.event_source for event in leaks),
        severities=distinct(event.leak.severity for event in leaks if event.leak),
    )


def _network_facts(events: list[_Event]) -> dict[str, Fact]:
    """Place and network of the host, as the first event that has them says."""
    place = next((event.geoip for event in events if event.geoip), _Place())
    network = next((event.network for event in events if event.network), _Network())
    return collect_facts(
        country=place.country_iso_code,
        asn=first_present(_asns(events)),
        organisation=network.organization_name,
        network=network.network,
    )


def _asns(events: list[_Event]) -> list[str | None]:
    return [autonomous_system(event.network.asn) for event in events if event.network]

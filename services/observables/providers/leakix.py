"""LeakIX: services of a host, and data that it leaks or that can be had from it without permission.

Source: https://leakix.net/api-documentation
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
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public_address,
    quote_segment,
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


class _Host(msgspec.Struct, rename="pascal"):
    services: list[_Event] | None
    leaks: list[_Event] | None


class LeakIX(RemoteEnricher):
    """What LeakIX's scans saw of an address."""

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
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /host/{ip}` as JSON, with the key, if any, in a header."""
        return Request(
            f"/host/{quote_segment(query.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"api-key": key["key"]} if key else {},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Services and leaks. An unknown host is a 404, or one with neither."""
        host = msgspec.json.decode(content, type=_Host)
        leaks = host.leaks or []
        events = [*(host.services or ()), *leaks]
        if not events:
            return None
        places = [event.geoip for event in events if event.geoip]
        networks = [event.network for event in events if event.network]
        infected = any(
            event.leak and event.leak.dataset and event.leak.dataset.infected for event in leaks
        )
        asns = [network.asn for network in networks if network.asn]
        names = distinct(event.host for event in events if event.host != query.value)
        facts = collect_facts(
            ports=distinct(
                int(event.port) for event in events if str(event.port).isdecimal() and event.port
            ),
            protocols=distinct(event.protocol for event in events),
            software=distinct(_software(event) for event in events),
            hostnames=names,
            leaks=len(leaks),
            leak_sources=distinct(event.event_source for event in leaks),
            severities=distinct(event.leak.severity for event in leaks if event.leak),
            infected=infected,
            tags=distinct(tag for event in events for tag in event.tags or ()),
            country=next((place.country_iso_code for place in places), None),
            asn=f"AS{asns[0]}" if asns else None,
            organisation=next((network.organization_name for network in networks), None),
            network=next((network.network for network in networks), None),
            last_seen=max((event.time for event in events if event.time), default=None),
        )
        weights = (Weight(0.3, "a data set on it carries a ransom note."),) if infected else ()
        certificates = distinct(_fingerprint(event) for event in events)
        related = (
            *(
                RelatedObservable("resolves-to", Type.DOMAIN, str(name), inward=True)
                for name in names or ()
            ),
            *(RelatedObservable("belongs-to", Type.ASN, f"AS{asn}") for asn in dict.fromkeys(asns)),
            *(
                RelatedObservable("related-to", Type.X509_SHA256, str(one))
                for one in certificates or ()
            ),
        )
        return Finding(facts, weights, related)


def _software(event: _Event) -> str | None:
    software = event.service and event.service.software
    return " ".join(filter(None, (software.name, software.version))) if software else None


def _fingerprint(event: _Event) -> str | None:
    certificate = event.ssl and event.ssl.certificate
    return certificate.fingerprint if certificate else None

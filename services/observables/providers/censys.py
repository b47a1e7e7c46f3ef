"""Censys Platform: services, certificates, names and threats of a host.

Source: https://docs.censys.com/reference/v3-globaldata-asset-host for the request, and
https://docs.censys.com/docs/platform-host-dataset for the layout of a host.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    Values,
    autonomous_system,
    collect_facts,
    distinct,
    is_public,
    latest,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type

_LAYOUT: Final = "application/vnd.censys.api.v3.host.v1+json"


class _Label(msgspec.Struct):
    value: str | None = None


class _Product(msgspec.Struct):
    vendor: str | None = None
    product: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.vendor, self.product, self.version)))


class _Certificate(msgspec.Struct):
    fingerprint_sha256: str | None = None


class _Threat(msgspec.Struct):
    name: str | None = None


class _Vulnerability(msgspec.Struct):
    id: str | None = None


class _Service(msgspec.Struct):
    port: int | None = None
    protocol: str | None = None
    scan_time: str | None = None
    cert: _Certificate | None = None
    software: list[_Product] | None = None
    labels: list[_Label] | None = None
    threats: list[_Threat] | None = None
    vulns: list[_Vulnerability] | None = None


class _Location(msgspec.Struct):
    country_code: str | None = None
    city: str | None = None


class _System(msgspec.Struct):
    asn: int | None = None
    name: str | None = None
    bgp_prefix: str | None = None


class _Names(msgspec.Struct):
    names: list[str] | None = None


class _Dns(msgspec.Struct):
    names: list[str] | None = None
    reverse_dns: _Names | None = None


class _Host(msgspec.Struct):
    ip: str
    services: list[_Service] | None = None
    location: _Location | None = None
    autonomous_system: _System | None = None
    operating_system: _Product | None = None
    dns: _Dns | None = None
    labels: list[_Label] | None = None

    def forward_names(self) -> list[str]:
        return (self.dns and self.dns.names) or []

    def reverse_names(self) -> list[str]:
        reverse = self.dns and self.dns.reverse_dns
        return (reverse and reverse.names) or []


class _Asset(msgspec.Struct):
    resource: _Host


class _Answer(msgspec.Struct):
    result: _Asset


class Censys(RemoteEnricher):
    """The last scan of a host."""

    name: ClassVar[str] = "censys"
    title: ClassVar[str] = "Censys"
    documentation: ClassVar[str] = "https://docs.censys.com/reference/v3-globaldata-asset-host"
    base_url: ClassVar[str] = "https://api.platform.censys.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("token",)
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 3
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    max_body: ClassVar[int] = 8 * 1024 * 1024
    # 422: the credits of the month are used up.
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({422, 429})
    test_query: ClassVar[Query] = Query(Type.IPV4, "8.8.8.8")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /v3/global/asset/host/{ip}` with a personal access token as bearer."""
        return Request(
            f"/v3/global/asset/host/{quote_segment(query.value)}",
            headers={"Accept": _LAYOUT},
            auth_headers={"Authorization": f"Bearer {key['token']}"},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read ports, services, names, certificates and threats of a host.

        Censys never saw a host that has neither services nor names.
        """
        host = msgspec.json.decode(content, type=_Answer).result.resource
        if not (host.services or host.forward_names() or host.reverse_names()):
            return None
        facts = _service_facts(host.services or []) | _host_facts(host)
        return Finding(facts, _weights(host.services or []), _related(host))


def _service_facts(services: list[_Service]) -> dict[str, Fact]:
    return collect_facts(
        ports=distinct(service.port for service in services),
        services=distinct(service.protocol for service in services),
        software=distinct(
            str(product) for service in services for product in service.software or ()
        ),
        certificates=_certificates(services),
        threats=_threats(services),
        vulnerabilities=_vulnerabilities(services),
        last_seen=latest(service.scan_time for service in services),
    )


def _host_facts(host: _Host) -> dict[str, Fact]:
    location = host.location or _Location()
    system = host.autonomous_system or _System()
    return collect_facts(
        names=distinct([*host.reverse_names(), *host.forward_names()]),
        labels=_labels(host),
        operating_system=str(host.operating_system or ""),
        country=location.country_code,
        city=location.city,
        asn=autonomous_system(system.asn),
        as_name=system.name,
        network=system.bgp_prefix,
    )


def _labels(host: _Host) -> Values:
    labels = list(host.labels or ())
    for service in host.services or ():
        labels += service.labels or ()
    return distinct(label.value for label in labels)


def _certificates(services: list[_Service]) -> Values:
    return distinct(service.cert.fingerprint_sha256 for service in services if service.cert)


def _threats(services: list[_Service]) -> Values:
    return distinct(threat.name for service in services for threat in service.threats or ())


def _vulnerabilities(services: list[_Service]) -> Values:
    return distinct(
        vulnerability.id for service in services for vulnerability in service.vulns or ()
    )


def _weights(services: list[_Service]) -> tuple[Weight, ...]:
    threats = _threats(services)
    if not threats:
        return ()
    return (Weight(0.6, f"Censys recognises a threat on it: {', '.join(map(str, threats[:5]))}."),)


def _related(host: _Host) -> tuple[RelatedObservable, ...]:
    services = host.services or []
    system = host.autonomous_system or _System()
    forward = host.forward_names()
    # The owner of an address chooses its reverse names; they need not resolve to it.
    reverse = [name for name in host.reverse_names() if name not in forward]
    return (
        *relations("resolves-to", Type.DOMAIN, forward, inward=True),
        *relations("related-to", Type.DOMAIN, reverse),
        *relations("belongs-to", Type.ASN, [autonomous_system(system.asn)]),
        *relations("related-to", Type.X509_SHA256, _certificates(services)),
        *relations("related-to", Type.VULNERABILITY, _vulnerabilities(services)),
    )

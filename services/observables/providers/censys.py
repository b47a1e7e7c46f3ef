"""Censys Platform: services, certificates, names and threats of a host.

Source: https://docs.censys.com/reference/v3-globaldata-asset-host for the question, and
https://docs.censys.com/docs/platform-host-dataset for what is in a host.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

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


class _Asset(msgspec.Struct):
    resource: _Host


class _Answer(msgspec.Struct):
    result: _Asset


class Censys(RemoteEnricher):
    """What Censys last saw of a host."""

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
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset(
        {422, 429}
    )  # 422 is a month's credits used up
    test_query: ClassVar[Query] = Query(Type.IPV4, "8.8.8.8")

    def applies(self, query: Query) -> bool:
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /v3/global/asset/host/{ip}` with a personal access token as bearer."""
        return Request(
            f"/v3/global/asset/host/{quote_segment(query.value)}",
            headers={"Accept": _LAYOUT},
            auth_headers={"Authorization": f"Bearer {key['token']}"},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Ports, services, names, certificates, threats. A host with neither services nor names was never seen."""
        host = msgspec.json.decode(content, type=_Answer).result.resource
        services, dns = host.services or [], host.dns or _Dns()
        forward, reverse = dns.names or [], (dns.reverse_dns or _Names()).names or []
        if not (services or forward or reverse):
            return None
        location, system = host.location or _Location(), host.autonomous_system or _System()
        labels = (
            *(host.labels or ()),
            *(label for service in services for label in service.labels or ()),
        )
        certificates = distinct(
            service.cert.fingerprint_sha256 for service in services if service.cert
        )
        holes = distinct(hole.id for service in services for hole in service.vulns or ())
        threats = distinct(threat.name for service in services for threat in service.threats or ())
        facts = collect_facts(
            ports=distinct(service.port for service in services),
            services=distinct(service.protocol for service in services),
            software=distinct(
                str(product) for service in services for product in service.software or ()
            ),
            certificates=certificates,
            names=distinct((*reverse, *forward)),
            labels=distinct(label.value for label in labels),
            threats=threats,
            vulnerabilities=holes,
            operating_system=str(host.operating_system or ""),
            country=location.country_code,
            city=location.city,
            asn=f"AS{system.asn}" if system.asn else None,
            as_name=system.name,
            network=system.bgp_prefix,
            last_seen=max(
                (service.scan_time for service in services if service.scan_time), default=None
            ),
        )
        # A reverse name is the word of whoever has the address: the name need not resolve to it.
        related = (
            *(RelatedObservable("resolves-to", Type.DOMAIN, name, inward=True) for name in forward),
            *(
                RelatedObservable("related-to", Type.DOMAIN, name)
                for name in reverse
                if name not in forward
            ),
            *(
                (RelatedObservable("belongs-to", Type.ASN, f"AS{system.asn}"),)
                if system.asn
                else ()
            ),
            *(
                RelatedObservable("related-to", Type.X509_SHA256, str(one))
                for one in certificates or ()
            ),
            *(RelatedObservable("related-to", Type.VULNERABILITY, str(one)) for one in holes or ()),
        )
        return Finding(facts, _weights(threats), related)


def _weights(threats: list[str | int | float] | None) -> tuple[Weight, ...]:
    if not threats:
        return ()
    return (Weight(0.6, f"Censys recognises a threat on it: {', '.join(map(str, threats[:5]))}."),)

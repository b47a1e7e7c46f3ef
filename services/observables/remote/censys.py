"""Censys Search: services, certificates and names of a host.

Source: https://search.censys.io/api#/hosts/viewHost
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.remote.base import Asked, Finding, Rate, Related, RemoteEnricher, Request
from services.observables.remote.reading import basic, listed, public_address, quoted, told
from shared.stix import ObservableType as Type


class _Software(msgspec.Struct):
    uniform_resource_identifier: str | None = None


class _Service(msgspec.Struct):
    port: int
    service_name: str | None = None
    extended_service_name: str | None = None
    certificate: str | None = None
    software: list[_Software] | None = None


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


class _Product(msgspec.Struct):
    product: str | None = None


class _Host(msgspec.Struct):
    ip: str
    services: list[_Service] | None = None
    location: _Location | None = None
    autonomous_system: _System | None = None
    operating_system: _Product | None = None
    dns: _Dns | None = None
    labels: list[str] | None = None
    last_updated_at: str | None = None


class _Answer(msgspec.Struct):
    result: _Host


class Censys(RemoteEnricher):
    """What Censys last saw of a host."""

    name: ClassVar[str] = "censys"
    title: ClassVar[str] = "Censys Search"
    documentation: ClassVar[str] = "https://search.censys.io/api#/hosts/viewHost"
    base: ClassVar[str] = "https://search.censys.io/api/v2"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("id", "secret")
    rate: ClassVar[Rate] = Rate(2, 5)
    daily: ClassVar[int | None] = 8
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    max_body: ClassVar[int] = 8 * 1024 * 1024
    harmless: ClassVar[Asked] = Asked(Type.IPV4, "8.8.8.8")

    def applies(self, asked: Asked) -> bool:
        """Addresses of the public network."""
        return asked.type in self.types and public_address(asked.value)

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:
        """`GET /hosts/{ip}` with an API id and its secret as HTTP Basic."""
        return Request(
            f"/hosts/{quoted(asked.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"Authorization": basic(key["id"], key["secret"])},
        )

    def read(self, asked: Asked, content: bytes) -> Finding | None:  # noqa: ARG002
        """Ports, services, names and certificates. A host without any is one that was never seen."""
        host = msgspec.json.decode(content, type=_Answer).result
        services = host.services or []
        dns = host.dns or _Dns()
        names = [*((dns.reverse_dns and dns.reverse_dns.names) or ()), *(dns.names or ())]
        if not services and not names:
            return None
        location, system = host.location or _Location(), host.autonomous_system or _System()
        certificates = listed(service.certificate for service in services)
        facts = told(
            ports=listed(service.port for service in services),
            services=listed(service.extended_service_name or service.service_name for service in services),
            software=listed(one.uniform_resource_identifier for service in services for one in service.software or ()),
            certificates=certificates,
            names=listed(names),
            labels=listed(host.labels or ()),
            operating_system=host.operating_system.product if host.operating_system else None,
            country=location.country_code,
            city=location.city,
            asn=system.asn,
            as_name=system.name,
            network=system.bgp_prefix,
            last_seen=host.last_updated_at,
        )
        related = [Related("resolves-to", Type.DOMAIN, name, inward=True) for name in names]
        if system.asn:
            related.append(Related("belongs-to", Type.ASN, f"AS{system.asn}"))
        related += [Related("related-to", Type.X509_SHA256, str(one)) for one in certificates or ()]
        return Finding(facts, related=tuple(related))

"""SecurityTrails: current DNS records of a name, and how many sub-domains it has.

Source: https://docs.securitytrails.com/reference/get-domain-old-1
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
)
from services.observables.providers.fields import collect_facts, distinct, quote_segment
from shared.stix import ObservableType as Type


class _Value(msgspec.Struct):
    ip: str | None = None
    ipv6: str | None = None
    ip_organization: str | None = None
    ipv6_organization: str | None = None
    hostname: str | None = None
    nameserver: str | None = None
    value: str | None = None


class _Records(msgspec.Struct):
    first_seen: str | None = None
    values: list[_Value] | None = None


class _Dns(msgspec.Struct):
    a: _Records | None = None
    aaaa: _Records | None = None
    mx: _Records | None = None
    ns: _Records | None = None
    txt: _Records | None = None


class _Domain(msgspec.Struct):
    current_dns: _Dns | None
    hostname: str | None = None
    apex_domain: str | None = None
    subdomain_count: int | None = None
    alexa_rank: int | None = None


class SecurityTrails(RemoteEnricher):
    """A name's DNS records as SecurityTrails last saw them."""

    name: ClassVar[str] = "securitytrails"
    title: ClassVar[str] = "SecurityTrails"
    documentation: ClassVar[str] = "https://docs.securitytrails.com/reference/get-domain-old-1"
    base_url: ClassVar[str] = "https://api.securitytrails.com/v1"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 2
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "oracle.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /domain/{hostname}` with the key in a header."""
        return Request(
            f"/domain/{quote_segment(query.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"APIKEY": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Addresses, mail and name servers. A name without any record and without sub-domains is not known."""
        found = msgspec.json.decode(content, type=_Domain)
        dns = found.current_dns or _Dns()
        a, aaaa = _values(dns.a), _values(dns.aaaa)
        v4, v6 = distinct(one.ip for one in a), distinct(one.ipv6 for one in aaaa)
        mail = distinct(one.hostname for one in _values(dns.mx))
        servers = distinct(one.nameserver for one in _values(dns.ns))
        texts = distinct((one.value for one in _values(dns.txt)), 20)
        if not (v4 or v6 or mail or servers or texts or found.subdomain_count):
            return None
        facts = collect_facts(
            apex=found.apex_domain,
            subdomains=found.subdomain_count,
            alexa_rank=found.alexa_rank,
            addresses=[*(v4 or ()), *(v6 or ())],
            organisations=distinct(
                one.ip_organization or one.ipv6_organization for one in (*a, *aaaa)
            ),
            mail_servers=mail,
            name_servers=servers,
            texts=texts,
            addresses_since=dns.a.first_seen if dns.a else None,
        )
        related = (
            *(RelatedObservable("resolves-to", Type.IPV4, str(address)) for address in v4 or ()),
            *(RelatedObservable("resolves-to", Type.IPV6, str(address)) for address in v6 or ()),
            *(
                RelatedObservable("related-to", Type.DOMAIN, str(host))
                for host in (*(mail or ()), *(servers or ()))
            ),
        )
        return Finding(facts, related=related)


def _values(records: _Records | None) -> list[_Value]:
    return (records and records.values) or []

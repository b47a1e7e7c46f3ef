"""SecurityTrails: current DNS records of a name, and the number of its sub-domains.

Source: https://docs.securitytrails.com/reference/get-domain-old-1
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import (
    Values,
    collect_facts,
    distinct,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type

_MAX_TEXTS: Final = 20


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

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read addresses, mail and name servers.

        A name that has neither a record nor sub-domains is not known.
        """
        domain = msgspec.json.decode(content, type=_Domain)
        dns = domain.current_dns or _Dns()
        ipv4 = distinct(entry.ip for entry in _values(dns.a))
        ipv6 = distinct(entry.ipv6 for entry in _values(dns.aaaa))
        mail = distinct(entry.hostname for entry in _values(dns.mx))
        servers = distinct(entry.nameserver for entry in _values(dns.ns))
        texts = distinct((entry.value for entry in _values(dns.txt)), _MAX_TEXTS)
        if not any([ipv4, ipv6, mail, servers, texts, domain.subdomain_count]):
            return None
        facts = collect_facts(
            apex=domain.apex_domain,
            subdomains=domain.subdomain_count,
            alexa_rank=domain.alexa_rank,
            addresses=[*(ipv4 or ()), *(ipv6 or ())],
            organisations=_organisations(dns),
            mail_servers=mail,
            name_servers=servers,
            texts=texts,
            addresses_since=dns.a.first_seen if dns.a else None,
        )
        related = (
            *relations("resolves-to", Type.IPV4, ipv4),
            *relations("resolves-to", Type.IPV6, ipv6),
            *relations("related-to", Type.DOMAIN, mail),
            *relations("related-to", Type.DOMAIN, servers),
        )
        return Finding(facts, related=related)


def _organisations(dns: _Dns) -> Values:
    """The holders of the addresses."""
    entries = [*_values(dns.a), *_values(dns.aaaa)]
    return distinct(entry.ip_organization or entry.ipv6_organization for entry in entries)


def _values(records: _Records | None) -> list[_Value]:
    return (records and records.values) or []

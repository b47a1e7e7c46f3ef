"""Google Public DNS: the addresses behind a name, and the name of an address.

Source: https://developers.google.com/speed/public-dns/docs/doh/json
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import (
    DnsAnswer,
    collect_facts,
    distinct,
    is_public,
    relations,
)
from shared.stix import ObservableType as Type

_A: Final = 1
_CNAME: Final = 5
_PTR: Final = 12
_FAILURES: Final = {2: "SERVFAIL", 5: "REFUSED"}


class GoogleDNS(RemoteEnricher):
    """The addresses that a name resolves to (A), or the name of an address (PTR)."""

    name: ClassVar[str] = "google_dns"
    title: ClassVar[str] = "Google Public DNS"
    documentation: ClassVar[str] = "https://developers.google.com/speed/public-dns/docs/doh/json"
    base_url: ClassVar[str] = "https://dns.google"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(20, 1)
    lifetime: ClassVar[timedelta] = timedelta(hours=6)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /resolve`."""
        if query.type == Type.DOMAIN:
            return Request("/resolve", {"name": query.value, "type": "A"})
        return Request("/resolve", {"name": ip_address(query.value).reverse_pointer, "type": "PTR"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read addresses and aliases, or names; without records nothing is known.

        That the name server failed is a fact.
        """
        answer = msgspec.json.decode(content, type=DnsAnswer)
        addresses = answer.data_of(_A)
        aliases = _bare_names(answer, _CNAME)
        names = _bare_names(answer, _PTR)
        failure = _FAILURES.get(answer.status)
        if not any([addresses, aliases, names, failure]):
            return None
        facts = collect_facts(
            addresses=distinct(addresses),
            aliases=distinct(aliases),
            names=distinct(names),
            validated=None if failure else answer.validated,
            failure=failure,
        )
        # The owner of an address chooses the name in its PTR record, which need not resolve to
        # the address; CNAMEs on the way to a PTR record are delegations of the reverse zone.
        related = (
            *relations("resolves-to", Type.IPV4, addresses),
            *relations("resolves-to", Type.DOMAIN, [] if names else aliases),
            *relations("related-to", Type.DOMAIN, names),
        )
        return Finding(facts, related=related)


def _bare_names(answer: DnsAnswer, type_: int) -> list[str]:
    return [name.removesuffix(".") for name in answer.data_of(type_)]

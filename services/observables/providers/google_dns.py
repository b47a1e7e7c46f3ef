"""Google Public DNS: the addresses behind a name, and the name of an address.

Source: https://developers.google.com/speed/public-dns/docs/doh/json
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
)
from services.observables.providers.fields import (
    DnsAnswer,
    collect_facts,
    distinct,
    is_public_address,
)
from shared.stix import ObservableType as Type

_A: Final = 1
_CNAME: Final = 5
_PTR: Final = 12
_FAILURES: Final = {2: "SERVFAIL", 5: "REFUSED"}


class GoogleDNS(RemoteEnricher):
    """What a name resolves to now (A), or how an address calls itself (PTR)."""

    name: ClassVar[str] = "google_dns"
    title: ClassVar[str] = "Google Public DNS"
    documentation: ClassVar[str] = "https://developers.google.com/speed/public-dns/docs/doh/json"
    base_url: ClassVar[str] = "https://dns.google"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(20, 1)
    lifetime: ClassVar[timedelta] = timedelta(hours=6)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /resolve`."""
        if query.type == Type.DOMAIN:
            return Request("/resolve", {"name": query.value, "type": "A"})
        return Request("/resolve", {"name": ip_address(query.value).reverse_pointer, "type": "PTR"})

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Addresses and aliases, or names. A name server that fails is a fact; without records nothing is known."""
        answer = msgspec.json.decode(content, type=DnsAnswer)
        addresses = answer.of(_A)
        aliases = [name.removesuffix(".") for name in answer.of(_CNAME)]
        names = [name.removesuffix(".") for name in answer.of(_PTR)]
        failure = _FAILURES.get(answer.status)
        if not (addresses or aliases or names or failure):
            return None
        facts = collect_facts(
            addresses=distinct(addresses),
            aliases=distinct(aliases),
            names=distinct(names),
            validated=None if failure else answer.validated,
            failure=failure,
        )
        # A PTR record is the word of whoever has the address: the name need not resolve to it.
        related = (
            *(RelatedObservable("resolves-to", Type.IPV4, address) for address in addresses),
            *(
                RelatedObservable("resolves-to", Type.DOMAIN, alias)
                for alias in aliases
                if not names
            ),
            *(RelatedObservable("related-to", Type.DOMAIN, name) for name in names),
        )
        return Finding(facts, related=related)

    def applies(self, query: Query) -> bool:
        """Names, and addresses of the public network."""
        return query.type == Type.DOMAIN or (
            query.type in self.types and is_public_address(query.value)
        )

"""Tor relays and exits: whether an address is one, from the Tor Project's Onionoo.

Source: https://metrics.torproject.org/onionoo.html#details
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
)
from services.observables.providers.fields import collect_facts, distinct, is_public_address
from shared.stix import NotAnObservable, normalise
from shared.stix import ObservableType as Type

_FIELDS: Final = (
    "nickname,fingerprint,or_addresses,exit_addresses,first_seen,last_seen,running,flags,country,"
    "as,as_name"
)


class _Relay(msgspec.Struct):
    fingerprint: str
    nickname: str | None = None
    or_addresses: list[str] = []
    exit_addresses: list[str] = []
    first_seen: str | None = None
    last_seen: str | None = None
    running: bool | None = None
    flags: list[str] = []
    country: str | None = None
    system: str | None = msgspec.field(name="as", default=None)
    as_name: str | None = None

    def addresses(self) -> list[RelatedObservable]:
        """Those it takes part with, written with a port, and those it was seen to exit from."""
        bare = (address.rpartition(":")[0].strip("[]") for address in self.or_addresses)
        types = (
            (Type.IPV6 if ":" in one else Type.IPV4, one) for one in (*bare, *self.exit_addresses)
        )
        return [
            RelatedObservable("related-to", type_, _canonical(type_, one)) for type_, one in types
        ]


class _Answer(msgspec.Struct):
    relays: list[_Relay]


class TorExits(RemoteEnricher):
    """Relays and exits of the Tor network that ran within the last week."""

    name: ClassVar[str] = "tor_exits"
    title: ClassVar[str] = "Tor relays (Onionoo)"
    documentation: ClassVar[str] = "https://metrics.torproject.org/onionoo.html#details"
    base_url: ClassVar[str] = "https://onionoo.torproject.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(30, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=6)
    test_query: ClassVar[Query] = Query(Type.IPV4, "185.220.101.1")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /details`; brackets keep an IPv6 address from being read as a qualified search."""
        search = f"[{query.value}]" if query.type == Type.IPV6 else query.value
        return Request("/details", {"search": search, "type": "relay", "fields": _FIELDS})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Relays of exactly this address: the search finds all that begin with it. Neither good nor bad in itself."""
        found = msgspec.json.decode(content, type=_Answer).relays
        relays = [
            relay for relay in found if any(one.value == query.value for one in relay.addresses())
        ]
        if not relays:
            return None
        exits = [
            relay
            for relay in relays
            if "Exit" in relay.flags or query.value in relay.exit_addresses
        ]
        systems = distinct(relay.system for relay in relays) or []
        facts = collect_facts(
            exit=bool(exits),
            running=any(relay.running for relay in relays),
            relays=len(relays),
            nicknames=distinct(relay.nickname for relay in relays),
            fingerprints=distinct(relay.fingerprint for relay in relays),
            flags=distinct(flag for relay in relays for flag in relay.flags),
            first_seen=min(
                (relay.first_seen for relay in relays if relay.first_seen), default=None
            ),
            last_seen=max((relay.last_seen for relay in relays if relay.last_seen), default=None),
            country=next((relay.country.upper() for relay in relays if relay.country), None),
            asns=systems,
            as_name=next((relay.as_name for relay in relays if relay.as_name), None),
        )
        related = (
            *(RelatedObservable("belongs-to", Type.ASN, str(system)) for system in systems),
            *(one for relay in relays for one in relay.addresses()),
        )
        return Finding(facts, related=related)

    def applies(self, query: Query) -> bool:
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)


def _canonical(type_: str, address: str) -> str:
    try:
        return normalise(type_, address)
    except NotAnObservable:
        return address

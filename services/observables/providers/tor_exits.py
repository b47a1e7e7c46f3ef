"""Tor relays and exits at an address, from the Tor Project's Onionoo.

Source: https://metrics.torproject.org/onionoo.html#details
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
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    earliest,
    first_present,
    is_public,
    latest,
    relations,
)
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

    def addresses(self) -> list[str]:
        """The canonical addresses that the relay listens on or exits from."""
        listening = [address.rpartition(":")[0].strip("[]") for address in self.or_addresses]
        return [_canonical(address) for address in (*listening, *self.exit_addresses)]


class _Answer(msgspec.Struct):
    relays: list[_Relay]


class TorExits(RemoteEnricher):
    """Relays of the Tor network that ran within the last week."""

    name: ClassVar[str] = "tor_exits"
    title: ClassVar[str] = "Tor relays (Onionoo)"
    origin: ClassVar[str] = "tor-project"
    documentation: ClassVar[str] = "https://metrics.torproject.org/onionoo.html#details"
    base_url: ClassVar[str] = "https://onionoo.torproject.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(30, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=6)
    test_query: ClassVar[Query] = Query(Type.IPV4, "185.220.101.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /details`; without brackets Onionoo takes an IPv6 address for a qualified search."""
        search = f"[{query.value}]" if query.type == Type.IPV6 else query.value
        return Request("/details", {"search": search, "type": "relay", "fields": _FIELDS})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the relays of an address; a relay is neither good nor bad in itself.

        The search also returns relays of addresses that only begin with the value.
        """
        relays = [
            relay
            for relay in msgspec.json.decode(content, type=_Answer).relays
            if query.value in relay.addresses()
        ]
        if not relays:
            return None
        facts = _role_facts(relays, query.value) | _relay_facts(relays) | _network_facts(relays)
        return Finding(facts, related=_related(relays))


def _role_facts(relays: list[_Relay], address: str) -> dict[str, Fact]:
    exits = [relay for relay in relays if "Exit" in relay.flags or address in relay.exit_addresses]
    return collect_facts(
        exit=bool(exits),
        running=any(relay.running for relay in relays),
        relays=len(relays),
    )


def _relay_facts(relays: list[_Relay]) -> dict[str, Fact]:
    return collect_facts(
        nicknames=distinct(relay.nickname for relay in relays),
        fingerprints=distinct(relay.fingerprint for relay in relays),
        flags=distinct(flag for relay in relays for flag in relay.flags),
        first_seen=earliest(relay.first_seen for relay in relays),
        last_seen=latest(relay.last_seen for relay in relays),
    )


def _network_facts(relays: list[_Relay]) -> dict[str, Fact]:
    return collect_facts(
        country=(first_present(relay.country for relay in relays) or "").upper(),
        asns=distinct(relay.system for relay in relays),
        as_name=first_present(relay.as_name for relay in relays),
    )


def _related(relays: list[_Relay]) -> tuple[RelatedObservable, ...]:
    """The autonomous systems, and the other addresses of the relays."""
    systems = distinct(relay.system for relay in relays)
    addresses = [address for relay in relays for address in relay.addresses()]
    return (
        *relations("belongs-to", Type.ASN, systems),
        *(RelatedObservable("related-to", _type(address), address) for address in addresses),
    )


def _type(address: str) -> Type:
    return Type.IPV6 if ":" in address else Type.IPV4


def _canonical(address: str) -> str:
    try:
        return normalise(_type(address), address)
    except NotAnObservable:
        return address

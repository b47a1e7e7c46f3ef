"""Team Cymru's IP to ASN mapping: the autonomous systems and prefixes that announce an address.

The mapping is served in the DNS; it is queried through Google's resolver in JSON.

Source: https://www.team-cymru.com/ip-asn-mapping (section DNS).
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import ClassVar, NamedTuple, Self

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    is_public,
    parse_dns_txt,
    relations,
)
from shared.stix import ObservableType as Type


class _Origin(NamedTuple):
    """An announcement such as `23028 701 | 216.90.108.0/24 | US | arin | 1998-09-25`.

    The last three parts may be empty.
    """

    systems: list[str]
    prefix: str
    country: str
    registry: str
    allocated: str

    @classmethod
    def parse(cls, text: str) -> Self:
        systems, *others = (part.strip() for part in text.split("|"))
        if len(others) != 4 or not all(system.isdigit() for system in systems.split()):
            raise InvalidAnswer(f"Team Cymru's record is none of an announcement: {text[:80]}")
        return cls([f"AS{system}" for system in systems.split()], *others)

    def length(self) -> int:
        length = self.prefix.rpartition("/")[2]
        return int(length) if length.isdigit() else 0


class TeamCymruASN(RemoteEnricher):
    """Announcements seen by some fifty BGP peers, refreshed every four hours."""

    name: ClassVar[str] = "team_cymru_asn"
    title: ClassVar[str] = "Team Cymru IP to ASN"
    origin: ClassVar[str] = "team-cymru"
    documentation: ClassVar[str] = "https://www.team-cymru.com/ip-asn-mapping"
    base_url: ClassVar[str] = "https://dns.google"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(10, 1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")
    lifetime: ClassVar[timedelta] = timedelta(days=1)

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """The TXT records of the reversed address in the provider's zone."""
        address = ip_address(query.value)
        reverse = address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
        zone = "origin" if address.version == 4 else "origin6"
        return Request("/resolve", {"name": f"{reverse}.{zone}.asn.cymru.com", "type": "TXT"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the announcements, the most specific prefix first.

        The country is that of the registration, not the place of the host.
        """
        origins = [_Origin.parse(text) for text in parse_dns_txt(content)]
        if not origins:
            return None
        origins.sort(key=_Origin.length, reverse=True)
        systems = dict.fromkeys(system for origin in origins for system in origin.systems)
        nearest = origins[0]
        facts = collect_facts(
            asns=distinct(systems),
            prefixes=distinct(origin.prefix for origin in origins),
            country=nearest.country,
            registry=nearest.registry,
            allocated=nearest.allocated,
        )
        return Finding(facts, related=relations("belongs-to", Type.ASN, systems))

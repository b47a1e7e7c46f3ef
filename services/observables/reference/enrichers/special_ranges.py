"""Addresses with a special purpose: the registries of IANA (RFC 6890 and its successors)."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np

from services.observables.reference.address_ranges import AddressRanges
from services.observables.reference.enrichers.base import Facts
from services.observables.reference.enrichers.network import ADDRESSED, addresses_of
from services.observables.scoring.claims import Effect
from shared.stix.vocabulary import ObservableType as Type


class SpecialRange(NamedTuple):
    """One line of the registries.

    Attributes:
        network: the addresses.
        name: as IANA writes it.
        rfc: where the purpose is defined.
        reachable: whether packets may cross the Internet from or to there; also where IANA says
            that it depends, as for 6to4.
    """

    network: str
    name: str
    rfc: str
    reachable: bool = False


SPECIAL_RANGES: Final = tuple(
    SpecialRange(*line)
    for line in (
        ("0.0.0.0/8", "This network", "RFC 791"),
        ("0.0.0.0/32", "This host on this network", "RFC 1122"),
        ("10.0.0.0/8", "Private-Use", "RFC 1918"),
        ("100.64.0.0/10", "Shared Address Space", "RFC 6598"),
        ("127.0.0.0/8", "Loopback", "RFC 1122"),
        ("169.254.0.0/16", "Link Local", "RFC 3927"),
        ("172.16.0.0/12", "Private-Use", "RFC 1918"),
        ("192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890"),
        ("192.0.0.0/29", "IPv4 Service Continuity Prefix", "RFC 7335"),
        ("192.0.0.8/32", "IPv4 dummy address", "RFC 7600"),
        ("192.0.0.9/32", "Port Control Protocol Anycast", "RFC 7723", True),
        ("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
        ("192.0.0.170/31", "NAT64/DNS64 Discovery", "RFC 8880"),
        ("192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737"),
        ("192.31.196.0/24", "AS112-v4", "RFC 7535", True),
        ("192.52.193.0/24", "AMT", "RFC 7450", True),
        ("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526", True),
        ("192.88.99.2/32", "6a44-relay anycast address", "RFC 6751"),
        ("192.168.0.0/16", "Private-Use", "RFC 1918"),
        ("192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534", True),
        ("198.18.0.0/15", "Benchmarking", "RFC 2544"),
        ("198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737"),
        ("203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737"),
        ("224.0.0.0/4", "Multicast", "RFC 5771"),
        ("240.0.0.0/4", "Reserved", "RFC 1112"),
        ("255.255.255.255/32", "Limited Broadcast", "RFC 8190"),
        ("::/128", "Unspecified Address", "RFC 4291"),
        ("::1/128", "Loopback Address", "RFC 4291"),
        ("::ffff:0:0/96", "IPv4-mapped Address", "RFC 4291"),
        ("64:ff9b::/96", "IPv4-IPv6 Translat.", "RFC 6052", True),
        ("64:ff9b:1::/48", "IPv4-IPv6 Translat. (local use)", "RFC 8215"),
        ("100::/64", "Discard-Only Address Block", "RFC 6666"),
        ("100:0:0:1::/64", "Dummy IPv6 Prefix", "RFC 9780"),
        ("2001::/23", "IETF Protocol Assignments", "RFC 2928"),
        ("2001::/32", "TEREDO", "RFC 4380", True),
        ("2001:1::1/128", "Port Control Protocol Anycast", "RFC 7723", True),
        ("2001:1::2/128", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
        ("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", "RFC 9665", True),
        ("2001:2::/48", "Benchmarking", "RFC 5180"),
        ("2001:3::/32", "AMT", "RFC 7450", True),
        ("2001:4:112::/48", "AS112-v6", "RFC 7535", True),
        ("2001:10::/28", "Deprecated (previously ORCHID)", "RFC 4843"),
        ("2001:20::/28", "ORCHIDv2", "RFC 7343", True),
        ("2001:30::/28", "Drone Remote ID Protocol Entity Tags (DETs) Prefix", "RFC 9374", True),
        ("2001:db8::/32", "Documentation", "RFC 3849"),
        ("2002::/16", "6to4", "RFC 3056", True),
        ("2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534", True),
        ("3fff::/20", "Documentation", "RFC 9637"),
        ("5f00::/16", "Segment Routing (SRv6) SIDs", "RFC 9602"),
        ("fc00::/7", "Unique-Local", "RFC 4193"),
        ("fe80::/10", "Link-Local Unicast", "RFC 4291"),
        ("fec0::/10", "Deprecated (Site-Local)", "RFC 3879"),
        ("ff00::/8", "Multicast", "RFC 4291"),
    )
)
"""The special ranges; they nest, and the narrowest around an address is the one that counts."""

_NETWORKS: Final = [ip_network(special.network) for special in SPECIAL_RANGES]
_FACTS: Final[list[Facts]] = [
    {"name": special.name, "rfc": special.rfc} for special in SPECIAL_RANGES
]


def _ranges(bits: int) -> AddressRanges:
    """The ranges of one family, numbered by their place in `SPECIAL_RANGES`, from 1."""
    firsts = bytearray()
    lasts = bytearray()
    numbers: list[int] = []
    for number, network in enumerate(_NETWORKS, 1):
        if network.max_prefixlen == bits:
            firsts += network.network_address.packed
            lasts += network.broadcast_address.packed
            numbers.append(number)
    return AddressRanges.flatten(bytes(firsts), bytes(lasts), np.array(numbers, np.uint8), bits)


def _enclosing(network: IPv4Network | IPv6Network) -> list[tuple[int, Facts]]:
    """A special range and those around it, narrowest first: the prefix length and the facts."""
    enclosing = [
        (other.prefixlen, facts)
        for other, facts in zip(_NETWORKS, _FACTS, strict=True)
        if other.version == network.version and other.supernet_of(network)  # type: ignore[arg-type]
    ]
    return sorted(enclosing, key=itemgetter(0), reverse=True)


_ENCLOSING: Final = [_enclosing(network) for network in _NETWORKS]


class SpecialRangeEnricher:
    """Facts such as `{"name": "Private-Use", "rfc": "RFC 1918"}`."""

    name = "special_range"
    types = ADDRESSED
    weighs = False

    def __init__(self) -> None:
        self._ranges = {Type.IPV4: _ranges(32), Type.IPV6: _ranges(128)}

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """The narrowest special range around each address, network, or address in a URL."""
        facts: list[Facts | None] = [None] * len(values)
        for family, places, addresses in addresses_of(type_, values):
            numbers = self._ranges[family].find(addresses)
            for place, address, number in zip(places, addresses, numbers, strict=True):
                if number:
                    facts[place] = (
                        _facts_of_network(address, number) if "/" in address else _FACTS[number - 1]
                    )
        return facts

    def effects(self, _facts: Facts) -> Sequence[Effect]:
        """None: a finding inside one's own network counts; allow-lists reduce the noise."""
        return ()


def _facts_of_network(network: str, number: int) -> Facts | None:
    """The facts of the narrowest range around a whole network.

    `number` is the range of its first address, which may be narrower than the network.
    """
    prefix = int(network.rpartition("/")[2])
    return next((facts for length, facts in _ENCLOSING[number - 1] if length <= prefix), None)

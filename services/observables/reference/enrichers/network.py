"""Who announces the address: autonomous system and country."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.networks import Network, Networks
from services.observables.scoring.score import Effect
from shared.stix.addresses import is_ipv4, is_ipv6
from shared.stix.vocabulary import ObservableType as Type

ADDRESSED: Final[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6, Type.URL})
"""Types whose values are addresses, or may contain one."""

# WHATWG escapes an @ in the user's name or password, so the last one before the path ends them.
_HOST: Final = re.compile(
    r"[a-z][a-z0-9+.-]*+://(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^:/?#]*)", re.IGNORECASE | re.ASCII
)


def host_of(url: str) -> str:
    """The host of a canonical URL, an IPv6 address in brackets; empty when it has none."""
    found = _HOST.match(url)
    return found[1] if found else ""


def addresses_of(
    type_: str, values: Sequence[str]
) -> Iterator[tuple[Type, list[int], Sequence[str]]]:
    """Addresses among values, for each family: its type, the places of the values, and their addresses."""
    if type_ in {Type.IPV4, Type.IPV6}:
        yield Type(type_), list(range(len(values))), values
    if type_ != Type.URL:
        return
    v4, v6 = dict[int, str](), dict[int, str]()
    for at, url in enumerate(values):
        host = host_of(url)
        if host[-1:].isdigit() and is_ipv4(host):
            v4[at] = host
        elif host[:1] == "[" and is_ipv6(host):
            v6[at] = host[1:-1]
    for family, found in ((Type.IPV4, v4), (Type.IPV6, v6)):
        if found:
            yield family, list(found), list(found.values())


class NetworkEnricher:
    """Facts such as `{"asn": 15169, "as_name": "GOOGLE", "country": "US"}`.

    Args:
        networks: the packed tables.
    """

    name = "network"
    types = ADDRESSED
    weighs = False

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._facts: dict[Network | None, Facts | None] = {None: None}

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """The network of each address; of a URL, that of its host where that is an address."""
        facts: list[Facts | None] = [None] * len(values)
        for family, places, addresses in addresses_of(type_, values):
            for at, network in zip(
                places, self._networks.find_many(family, addresses), strict=True
            ):
                facts[at] = self._facts[network] if network in self._facts else self._made(network)
        return facts

    def _made(self, network: Network | None) -> Facts | None:
        if network is None:
            return None
        name = network.asn and self._networks.name_of(network.asn)
        told = {"asn": network.asn, "as_name": name, "country": network.country}
        facts = {key: value for key, value in told.items() if value is not None}
        self._facts[network] = facts
        return facts

    def effects(self, facts: Facts) -> Sequence[Effect]:  # noqa: ARG002  # the protocol's
        """None: where an address lies makes it neither good nor bad."""
        return ()

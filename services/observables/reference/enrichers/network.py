"""The network of an address: autonomous system and country."""

from collections.abc import Iterator, Sequence
from typing import Final

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.hosts import host_of
from services.observables.reference.networks import Network, Networks
from services.observables.scoring.claims import Effect
from shared.stix.addresses import is_ipv4, is_ipv6
from shared.stix.vocabulary import ObservableType as Type

ADDRESSED: Final[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6, Type.URL})
"""Types whose values are addresses, or may contain one."""


def addresses_of(
    type_: str, values: Sequence[str]
) -> Iterator[tuple[Type, list[int], Sequence[str]]]:
    """The addresses among values, by family: its type, the places of values, the addresses."""
    if type_ in {Type.IPV4, Type.IPV6}:
        yield Type(type_), list(range(len(values))), values
    if type_ != Type.URL:
        return
    v4: dict[int, str] = {}
    v6: dict[int, str] = {}
    for place, url in enumerate(values):
        host = host_of(url)
        if host[-1:].isdigit() and is_ipv4(host):
            v4[place] = host
        elif host[:1] == "[" and is_ipv6(host):
            v6[place] = host[1:-1]
    for family, hosts in ((Type.IPV4, v4), (Type.IPV6, v6)):
        if hosts:
            yield family, list(hosts), list(hosts.values())


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
            networks = self._networks.find_many(family, addresses)
            for place, network in zip(places, networks, strict=True):
                facts[place] = (
                    self._facts[network] if network in self._facts else self._make_facts(network)
                )
        return facts

    def _make_facts(self, network: Network | None) -> Facts | None:
        if network is None:
            return None
        name = network.asn and self._networks.name_of(network.asn)
        columns = {"asn": network.asn, "as_name": name, "country": network.country}
        facts = {key: value for key, value in columns.items() if value is not None}
        self._facts[network] = facts
        return facts

    def effects(self, facts: Facts) -> Sequence[Effect]:  # noqa: ARG002  # the protocol's
        """None: the network of an address makes it neither good nor bad."""
        return ()

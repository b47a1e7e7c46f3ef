"""Guards: what no list may have, whatever its filter says. No I/O.

Each guard has a name, which is the reason of a refusal. Values are those of the store: canonical.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

import ada_url

from services.observables.dissemination.lists.profiles import PROFILES, WidthProfile
from services.observables.list_formats.readings import RESERVED_NAMES, readings_of
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, normalise
from shared.stix.domains import split_domain
from shared.stix.markings import CLOSED, STRICTNESS
from shared.stix.vocabulary import ObservableType

Network = IPv4Network | IPv6Network
"""A network of either family."""

TLP: Final = "TLP above the ceiling"
CHARACTERS: Final = "characters that end a line"
WIDTH: Final = "network wider than the profile"
SPECIAL: Final = "special-purpose network"
SUFFIX: Final = "public suffix"
PROTECTED: Final = "protected"
ALLOW_LISTED: Final = "allow-listed"

GUARDS: Final = (TLP, CHARACTERS, WIDTH, SPECIAL, SUFFIX, PROTECTED, ALLOW_LISTED)
"""The names of all guards."""

_NETWORK_TYPES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_NAME_TYPES: Final = frozenset({"domain-name", "url", "email-addr"})
_SPECIAL: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/3",
            "::/8",
            "100::/64",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
        ),
    )
)
"""Networks of which no address is an attacker's: IANA's registries of special-purpose addresses.
The networks for documentation are not among them: nobody is blocked by them."""


class ProtectedValues(NamedTuple):
    """What a tenant protects: names with all below them, and networks with all that touches them.

    Attributes:
        names: domain names.
        networks: as first and last address, by family and first address.
    """

    names: frozenset[str]
    networks: tuple[Network, ...]


class Guard:
    """The guards of a list.

    Args:
        profile: the name of the list's profile.
        tlp_ceiling: the strictest marking.
        protected: of the tenant.
    """

    def __init__(self, profile: str, tlp_ceiling: str, protected: ProtectedValues) -> None:
        self._profile = PROFILES[profile]
        self._ceiling = STRICTNESS[tlp_ceiling]
        self._names = protected.names
        self._networks = protected.networks

    def refusal(self, type_: str, value: str, tlp: str, *, is_allow_listed: bool) -> str | None:
        """The guard that keeps an observable out; None if none does."""
        if STRICTNESS.get(tlp, STRICTNESS[CLOSED]) > self._ceiling:
            return TLP
        if not value.isprintable() or not value:
            return CHARACTERS
        if type_ in _NETWORK_TYPES:
            reason = self._network_refusal(value)
        elif type_ in _NAME_TYPES:
            reason = self._name_refusal(type_, value)
        else:
            reason = self._misreading_refusal(type_, value)
        if reason is None and is_allow_listed:
            return ALLOW_LISTED
        return reason

    def _misreading_refusal(self, type_: str, value: str) -> str | None:
        """The guard of what a device would take a text for: an address, a name or a URL.

        A single word is no suffix here: there are mutexes that are named like top-level names.
        """
        for other, text in readings_of(type_, value):
            if other in _NETWORK_TYPES:
                reason = self._network_refusal(text)
            else:
                reason = self._name_refusal(other, text)
            if reason is not None and (reason != SUFFIX or "." in value):
                return reason
        return None

    def _network_refusal(self, value: str) -> str | None:
        network = _network(value)
        if network is None:
            return CHARACTERS
        if _is_wide(network, self._profile):
            return WIDTH
        if _touches(network, _SPECIAL):
            return SPECIAL
        return PROTECTED if _touches(network, self._networks) else None

    def _name_refusal(self, type_: str, value: str) -> str | None:
        host = _host(type_, value)
        if host is None:
            return CHARACTERS
        network = _network(host) if host[-1:].isdigit() or ":" in host else None
        if network is not None:
            if _touches(network, _SPECIAL):
                return SPECIAL
            return PROTECTED if _touches(network, self._networks) else None
        if host.rpartition(".")[2] in RESERVED_NAMES:
            return SPECIAL
        if type_ == "domain-name" and split_domain(host).registrable is None:
            return SUFFIX
        return PROTECTED if self._is_protected(host, type_) else None

    def _is_protected(self, host: str, type_: str) -> bool:
        """Whether a name is protected or below one that is, or, as a domain, above one."""
        if not self._names:
            return False
        name = host
        while name:
            if name in self._names:
                return True
            name = name.partition(".")[2]
        end = f".{host}"
        return type_ == "domain-name" and any(each.endswith(end) for each in self._names)


def read_protected(text: str) -> str:
    """The canonical form of a name or network that somebody wants to protect.

    Raises:
        InvalidInput: it is neither.
    """
    stripped = text.strip().lower()
    network = _network(stripped)
    if network is not None:
        return str(network)
    try:
        return normalise(ObservableType.DOMAIN, stripped.rstrip("."))
    except NotAnObservable as error:
        raise InvalidInput(
            f"This is neither a network nor a domain name: {error}", field="value"
        ) from None


def is_network(value: str) -> bool:
    """Whether a protected value is a network; otherwise it is a name."""
    return _network(value) is not None


def protected_of(values: Iterable[str]) -> ProtectedValues:
    """Names and networks of stored values."""
    names = set()
    networks = []
    for value in values:
        network = _network(value)
        if network is None:
            names.add(value)
        else:
            networks.append(network)
    return ProtectedValues(frozenset(names), tuple(networks))


def _is_wide(network: Network, profile: WidthProfile) -> bool:
    bits = profile.ipv4_bits if network.version == 4 else profile.ipv6_bits
    return network.prefixlen < bits


def _touches(network: Network, others: Iterable[Network]) -> bool:
    return any(network.version == other.version and network.overlaps(other) for other in others)


@lru_cache(maxsize=4096)
def _network(value: str) -> Network | None:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        return None


def _host(type_: str, value: str) -> str | None:
    """The host that a name, URL or address of mail is about; None if it has none.

    WHATWG has the host canonical but for the dots behind it, which every resolver passes over.
    """
    if type_ == "domain-name":
        return value
    if type_ == "email-addr":
        return value.rpartition("@")[2]
    try:
        return ada_url.URL(value).hostname.strip("[].") or None
    except ValueError:
        return None

"""A watchlist in memory: whether a value is on it, whatever its size, as a few look-ups.

Entries are addresses, networks, domains (with all that is below them), brands (with what looks like
them), and any other value as it stands.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

import ada_url

from services.notifications.watchlists.lookalikes import BrandIndex
from shared.errors import InvalidInput
from shared.filters.text_tests import domains_above, host_of
from shared.stix.domains import split_domain

EntryKind = Literal["network", "domain", "brand", "value"]
"""network: an address or a network; value: anything else, as it stands."""

MAX_VALUE: Final = 2048
"""Bytes of an entry: the table's key has room for them."""


class WatchlistIndex:
    """The entries of a watchlist, which `value in index` asks.

    Args:
        entries: kind and canonical value.
    """

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        by_kind: dict[str, list[str]] = {}
        for kind, value in entries:
            by_kind.setdefault(kind, []).append(value)
        self._values = frozenset(by_kind.get("value", ()))
        self._domains = frozenset(by_kind.get("domain", ()))
        self._brands = BrandIndex(by_kind.get("brand", ()))
        self._networks = _NetworkIndex(by_kind.get("network", ()))

    def __contains__(self, value: object) -> bool:
        """Whether a value is on the list: in a network, below a domain, or like a brand."""
        if not isinstance(value, str):
            return False
        if value in self._values or self._networks.holds(value):
            return True
        if self._domains and not self._domains.isdisjoint(domains_above(value)):
            return True
        return bool(len(self._brands)) and self._is_like_brand(value)

    def _is_like_brand(self, value: str) -> bool:
        host = host_of(value)
        if "." not in host or host in self._domains:
            return False
        registrable = split_domain(host).registrable
        label = (registrable or host).partition(".")[0]
        if label.startswith("xn--"):
            label = ada_url.idna.decode(label)
        return self._brands.brand_of(label) is not None


class _NetworkIndex:
    """Networks by family and length of prefix: a look-up for each length that occurs."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._by_family: dict[int, dict[int, set[int]]] = {}
        for text in networks:
            network = ip_network(text)
            shift = network.max_prefixlen - network.prefixlen
            by_shift = self._by_family.setdefault(network.version, {})
            by_shift.setdefault(shift, set()).add(int(network.network_address) >> shift)

    def holds(self, text: str) -> bool:
        """Whether a text is an address in one of the networks, or a network inside one."""
        version = 6 if ":" in text else 4
        by_shift = self._by_family.get(version)
        if not by_shift:
            return False
        address, slash, prefix = text.partition("/")
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        try:
            number = int.from_bytes(socket.inet_pton(family, address))
        except (OSError, ValueError):
            return False
        narrowest = 0
        if slash:
            bits = 128 if version == 6 else 32
            narrowest = bits - int(prefix) if prefix.isdecimal() else bits + 1
        return any(
            number >> shift in networks
            for shift, networks in by_shift.items()
            if shift >= narrowest
        )


def canonical_entry(kind: EntryKind | None, text: str) -> tuple[EntryKind, str]:
    """An entry as it is stored.

    Args:
        kind: what it is; recognised from the text when None: an address, a network, a domain, or
            else a value.
        text: as a person wrote it.

    Raises:
        InvalidInput: the text is not of that kind.
    """
    value = text.strip()
    if not value or not value.isprintable() or len(value.encode()) > MAX_VALUE:
        raise InvalidInput(
            f"An entry has printable characters, 1 to {MAX_VALUE} bytes of them.", field="value"
        )
    if kind == "value":
        return "value", value
    if kind == "brand":
        return "brand", _brand(value)
    if kind == "domain":
        return "domain", _domain(value)
    if network := _network(value):
        return "network", str(network)
    if kind == "network":
        raise InvalidInput(f"{value!r} is neither an address nor a network.", field="value")
    is_domain = "." in value and "/" not in value and "@" not in value and " " not in value
    return ("domain", _domain(value)) if is_domain else ("value", value)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _domain(text: str) -> str:
    name = text.lower().rstrip(".").removeprefix("*.")
    encoded = name if name.isascii() else ada_url.idna.encode(name).decode("ascii")
    labels = encoded.split(".")
    if not encoded or len(encoded) > 253 or not all(map(_is_label, labels)):
        raise InvalidInput(f"{text!r} is no domain name.", field="value")
    return encoded


def _is_label(text: str) -> bool:
    return 0 < len(text) <= 63 and text.replace("-", "").replace("_", "").isalnum()


def _brand(text: str) -> str:
    brand = text.lower()
    if not 3 <= len(brand) <= 63 or "." in brand or not brand.replace("-", "").isalnum():
        raise InvalidInput(
            f"{text!r} is no brand: write its name as in a domain, 3 to 63 letters, digits and"
            " hyphens, without a suffix.",
            field="value",
        )
    return brand

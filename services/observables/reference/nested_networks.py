"""Networks that lie in each other, searched in bulk for all that are around an address."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

import numpy as np

from services.observables.reference.packed_arrays import Array

NetworkEntry = tuple[int, int, int]
"""The first address, the prefix length, and the number of a list that has the network."""

_FEW: Final = 12
"""Addresses up to which a loop is faster than arrays."""


def pack_networks(networks: set[NetworkEntry], bits: int) -> dict[str, Array]:
    """The arrays of a `NestedNetworks`, for one family of addresses.

        starts    the first address of each disjoint range, sorted; 4 or 16 bytes each
        inner     for each range, the narrowest network around it; -1: none
        around    for each network, the next wider one around it; -1: none
        prefixes  for each network, its prefix length
        lists     for each network, the number of its list

    Networks nest like brackets. Sorted by first address and prefix length, a wider one opens
    before those in it, so one pass with a stack of the open networks finds the innermost one at
    each place.
    """
    starts = [0]
    inner = [-1]
    around: list[int] = []
    ordered = sorted(networks)
    open_networks: list[tuple[int, int]] = []  # the end of each, and its place in `ordered`

    def innermost() -> int:
        return open_networks[-1][1] if open_networks else -1

    def begin_range(at: int, network: int) -> None:
        if starts[-1] == at:
            inner[-1] = network
        elif at >> bits == 0:  # otherwise the address space ends here
            starts.append(at)
            inner.append(network)

    def close_until(at: int | None) -> None:
        """Close the networks that end before an address, or all."""
        while open_networks and (at is None or open_networks[-1][0] <= at):
            end, _ = open_networks.pop()
            begin_range(end, innermost())

    for number, (base, prefix, _) in enumerate(ordered):
        close_until(base)
        around.append(innermost())
        open_networks.append((base + (1 << (bits - prefix)), number))
        begin_range(base, number)
    close_until(None)
    raw = b"".join(start.to_bytes(bits // 8, "big") for start in starts)
    return {
        "starts": np.frombuffer(raw, np.uint8),
        "inner": np.array(inner, np.int32),
        "around": np.array(around, np.int32),
        "prefixes": np.array([prefix for _, prefix, _ in ordered], np.uint8),
        "lists": np.array([number for _, _, number in ordered], np.uint16),
    }


class NestedNetworks:
    """The networks around an address, narrowest first.

    Args:
        arrays: those of `pack_networks`, each name followed by the bits.
        bits: 32 or 128.
    """

    def __init__(self, arrays: Mapping[str, Array], bits: int) -> None:
        self._bits = bits
        self._family = AF_INET if bits == 32 else AF_INET6
        # IPv6 addresses are compared as the 16 bytes they are, whose order is that of numbers.
        self._order = ">u4" if bits == 32 else "S16"
        self._starts = arrays[f"starts{bits}"].view(self._order)
        if bits == 32:
            self._starts = self._starts.astype(np.uint32)
        self._inner = arrays[f"inner{bits}"]
        self._around = arrays[f"around{bits}"].data
        self._prefixes = arrays[f"prefixes{bits}"].data
        self._lists = arrays[f"lists{bits}"].data
        # The networks around each innermost one that was found: a few thousand of all networks.
        self._chains: dict[int, tuple[tuple[int, int, str], ...]] = {}

    def find(self, values: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """For addresses and networks of the family: the place, the list, and its network."""
        parts = [value.partition("/") for value in values]
        addresses = [inet_pton(self._family, address) for address, _, _ in parts]
        chains = self._chains
        for place, number in self._innermost(addresses):
            chain = chains.get(number)
            if chain is None:
                chain = chains[number] = tuple(self._chain(number, addresses[place]))
            # A network is only in networks that are at least as wide.
            widest = int(parts[place][2] or self._bits)
            for prefix, listed, text in chain:
                if prefix <= widest:
                    yield place, listed, text

    def _innermost(self, addresses: Sequence[bytes]) -> Iterable[tuple[int, int]]:
        """The place of each address that lies in a network, and the narrowest one around it."""
        if len(addresses) <= _FEW and self._bits == 32:
            starts = self._starts.data
            inner = self._inner.data
            numbers = [
                inner[bisect_right(starts, int.from_bytes(address, "big")) - 1]
                for address in addresses
            ]
            return [(place, number) for place, number in enumerate(numbers) if number >= 0]
        points = np.frombuffer(b"".join(addresses), self._order).astype(
            self._starts.dtype, copy=False
        )
        narrowest = self._inner[self._starts.searchsorted(points, "right") - 1]
        places = np.flatnonzero(narrowest >= 0)
        return zip(places.tolist(), narrowest[places].tolist(), strict=True)

    def _chain(self, number: int, address: bytes) -> Iterator[tuple[int, int, str]]:
        """A network around an address and those around it: prefix length, list, text."""
        while number >= 0:
            prefix = self._prefixes[number]
            yield prefix, self._lists[number], self._text(address, prefix)
            number = self._around[number]

    def _text(self, address: bytes, prefix: int) -> str:
        free = self._bits - prefix
        base = int.from_bytes(address, "big") >> free << free
        text = inet_ntop(self._family, base.to_bytes(len(address), "big"))
        return f"{text}/{prefix}" if free else text

"""Networks that cover exactly the addresses of some addresses and networks, as few as possible.

The result is that of `ipaddress.collapse_addresses`, computed on arrays of numbers: ranges are
sorted and joined, and cut into networks again.
"""

from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]
"""IPv4 addresses as numbers, wide enough for the number behind the last."""

_BITS: Final = 32
_BITS6: Final = 128
_POWERS: Final = np.uint64(1) << np.arange(_BITS + 1, dtype=np.uint64)


def aggregate_ipv4(values: Sequence[str]) -> list[str]:
    """The fewest IPv4 networks of some addresses and networks, in order; addresses have no `/32`.

    Raises:
        ValueError, OSError: a value is no canonical address or network.
    """
    if not values:
        return []
    firsts, lengths = _parse_ipv4(values)
    begins, ends = _joined(firsts, lengths)
    networks, prefixes = _cut(begins, ends)
    return _format_ipv4(networks, prefixes)


def aggregate_ipv6(values: Sequence[str]) -> list[str]:
    """The fewest IPv6 networks of some addresses and networks, in order.

    Raises:
        ValueError, OSError: a value is no canonical address or network.
    """
    ranges = sorted(_range_ipv6(value) for value in values)
    networks: list[str] = []
    begin = 0
    end = 0
    for first, behind in ranges:
        if first > end:
            networks += _cut_ipv6(begin, end)
            begin = first
            end = behind
        else:
            end = max(end, behind)
    return networks + _cut_ipv6(begin, end)


def _parse_ipv4(values: Sequence[str]) -> tuple[Numbers, Numbers]:
    """First addresses, and how many each value has."""
    text = "\n".join(values)
    if "/" not in text:
        packed = b"".join([inet_pton(AF_INET, value) for value in values])
        firsts = np.frombuffer(packed, ">u4").astype(np.uint64)
        return firsts, np.full(len(firsts), 1, np.uint64)
    parts = [value.partition("/") for value in values]
    packed = b"".join([inet_pton(AF_INET, part[0]) for part in parts])
    prefixes = np.array([int(part[2] or _BITS) for part in parts], np.uint64)
    if prefixes.max() > _BITS:
        raise ValueError("a prefix is longer than an address")
    lengths = _POWERS[np.uint64(_BITS) - prefixes]
    return np.frombuffer(packed, ">u4").astype(np.uint64), lengths


def _joined(firsts: Numbers, lengths: Numbers) -> tuple[Numbers, Numbers]:
    """Disjoint ranges with gaps between them: first addresses, and those behind the last."""
    order = np.argsort(firsts, kind="stable")
    starts = firsts[order]
    behind = np.maximum.accumulate(starts + lengths[order])
    is_new = np.empty(len(starts), bool)
    is_new[0] = True
    is_new[1:] = starts[1:] > behind[:-1]
    places = np.flatnonzero(is_new)
    return starts[places], behind[np.append(places[1:], len(starts)) - 1]


def _cut(begins: Numbers, ends: Numbers) -> tuple[Numbers, Any]:
    """Ranges as networks: of each range the widest that begins it, again and again."""
    networks: list[Numbers] = []
    prefixes: list[Any] = []
    while len(begins):
        alignment = np.where(begins == 0, _POWERS[_BITS], begins & (~begins + np.uint64(1)))
        exponents = np.searchsorted(_POWERS, ends - begins, side="right") - 1
        sizes = np.minimum(alignment, _POWERS[exponents])
        networks.append(begins)
        prefixes.append(_BITS - (np.searchsorted(_POWERS, sizes)))
        begins = begins + sizes
        is_left = begins < ends
        begins = begins[is_left]
        ends = ends[is_left]
    joined = np.concatenate(networks)
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate(prefixes)[order]


def _format_ipv4(networks: Numbers, prefixes: Any) -> list[str]:
    octets = [str(number) for number in range(256)]
    shifts = np.array([24, 16, 8, 0], np.uint64)
    columns = [((networks >> shift) & np.uint64(255)).tolist() for shift in shifts]
    ends = ["" if number == _BITS else f"/{number}" for number in range(_BITS + 1)]
    return [
        f"{octets[first]}.{octets[second]}.{octets[third]}.{octets[fourth]}{ends[prefix]}"
        for first, second, third, fourth, prefix in zip(*columns, prefixes.tolist(), strict=True)
    ]


def _range_ipv6(value: str) -> tuple[int, int]:
    address, _, prefix = value.partition("/")
    bits = int(prefix or _BITS6)
    if not 0 <= bits <= _BITS6:
        raise ValueError("a prefix is longer than an address")
    first = int.from_bytes(inet_pton(AF_INET6, address), "big")
    return first, first + (1 << (_BITS6 - bits))


def _cut_ipv6(begin: int, end: int) -> list[str]:
    networks = []
    while begin < end:
        alignment = begin & -begin or 1 << _BITS6
        size = min(alignment, 1 << ((end - begin).bit_length() - 1))
        prefix = _BITS6 - (size.bit_length() - 1)
        text = inet_ntop(AF_INET6, begin.to_bytes(16, "big"))
        networks.append(text if prefix == _BITS6 else f"{text}/{prefix}")
        begin += size
    return networks

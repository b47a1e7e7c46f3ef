"""Ranges of addresses that are searched in bulk: sorted starts, each with a number."""

from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

import numpy as np

from services.observables.reference.packed_arrays import Array

_WORD_BITS: Final = 32


class AddressRanges:
    """Disjoint ranges of one family, each with a number; 0 stands for the gaps between them.

    `numbers[i]` holds from the address `starts[i]` up to the one before `starts[i + 1]`.

    Args:
        starts: sorted, from the first address of the family on: IPv4 as uint32, IPv6 as `S16`.
        numbers: one for each start.
    """

    def __init__(self, starts: Array, numbers: Array) -> None:
        self.starts = starts
        self.numbers = numbers
        is_ipv4 = starts.dtype.kind == "u"
        self._family = AF_INET if is_ipv4 else AF_INET6
        self._order = ">u4" if is_ipv4 else "S16"

    @classmethod
    def flatten(cls, firsts: bytes, lasts: bytes, numbers: Array, bits: int) -> "AddressRanges":
        """Lay overlapping ranges out flat; of several the narrowest counts, then the last.

        Args:
            firsts: the first address of each range as `inet_pton` gives it, joined.
            lasts: the last address of each, likewise.
            numbers: the number of each range, not 0.
            bits: 32 or 128.
        """
        # Addresses are compared as the bytes they are, whose order is that of their numbers.
        order = f"S{bits // 8}"
        first = np.frombuffer(firsts, order)
        after, ends_space = _addresses_after(lasts, bits)
        # A new range may begin with each range and behind each range.
        starts = np.unique(np.concatenate([np.zeros(1, order), first, after[~ends_space]]))
        begins = starts.searchsorted(first)
        ends = starts.searchsorted(after)
        ends[ends_space] = starts.size
        # The widest ranges are written first, and narrower ones over them.
        painted = np.zeros(starts.size, numbers.dtype)
        widest_first = _order_widest_first(firsts, lasts, bits)
        for begin, end, number in zip(
            begins[widest_first].tolist(),
            ends[widest_first].tolist(),
            numbers[widest_first].tolist(),
            strict=True,
        ):
            painted[begin:end] = number
        return cls._merge(starts, painted)

    @classmethod
    def _merge(cls, starts: Array, numbers: Array) -> "AddressRanges":
        """Join neighbours with the same number."""
        differs = np.r_[True, numbers[1:] != numbers[:-1]]
        starts = np.ascontiguousarray(starts[differs])
        if starts.dtype.itemsize == 4:
            starts = starts.view(">u4").astype(np.uint32)
        return cls(starts, numbers[differs])

    def find(self, values: Sequence[str]) -> list[int]:
        """The number for each canonical address; for a network, that of its first address."""
        family = self._family
        raw = [inet_pton(family, value.partition("/")[0]) for value in values]
        addresses = np.frombuffer(b"".join(raw), self._order).astype(self.starts.dtype, copy=False)
        numbers: list[int] = self.numbers[self.starts.searchsorted(addresses, "right") - 1].tolist()
        return numbers


def _addresses_after(lasts: bytes, bits: int) -> tuple[Array, Array]:
    """The address after each, and whether there is none because the address space ends.

    NumPy has no integers of 128 bits, so 1 is added in words of 32 bits, from the last word on,
    and carried where a word overflows to 0.
    """
    words = np.frombuffer(lasts, ">u4").astype(np.uint32).reshape(-1, bits // _WORD_BITS)
    carry = np.full(len(words), True)
    for column in reversed(range(words.shape[1])):
        words[:, column] += carry
        carry &= words[:, column] == 0
    return np.frombuffer(words.astype(">u4").tobytes(), f"S{bits // 8}"), carry


def _order_widest_first(firsts: bytes, lasts: bytes, bits: int) -> Array:
    """The order of ranges in which a narrower one comes after those around it.

    Widths are subtracted in words of 32 bits, borrowing from the next higher word where one is
    negative, and sorted by their words, the highest first. Equal widths keep their order.
    """
    shape = (-1, bits // _WORD_BITS)
    first = np.frombuffer(firsts, ">u4").astype(np.int64).reshape(shape)
    last = np.frombuffer(lasts, ">u4").astype(np.int64).reshape(shape)
    width = last - first
    for column in range(width.shape[1] - 1, 0, -1):
        borrowed = width[:, column] < 0
        width[:, column] += borrowed.astype(np.int64) << _WORD_BITS
        width[:, column - 1] -= borrowed
    # lexsort takes the most significant key last.
    return np.lexsort([-width[:, column] for column in reversed(range(width.shape[1]))])

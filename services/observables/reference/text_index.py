"""Millions of texts as sorted 64-bit hashes, each with the set of lists it is on.

With three million entries, the chance that a text which is on no list hits one of them is one in
six million million.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from xxhash import xxh3_64_intdigest

from services.observables.reference.packed_arrays import Array

_FEW: Final = 12
"""Texts up to which a loop is faster than arrays."""

_FILTER_BITS: Final = 25
"""Bits of a hash that the filter tells apart: 4 MiB, which let one text in sixteen through."""


def hash_texts(texts: Iterator[str]) -> Array:
    """The hash of each text."""
    return np.fromiter((xxh3_64_intdigest(text.encode()) for text in texts), np.uint64)


def pack_texts(lists: Sequence[Array]) -> dict[str, Array]:
    """The arrays of a `TextIndex` for the hashes of each list.

    Lists are repeated in many places, but there are few distinct sets of lists that share a text.
    So each key has the number of a set, and each set the numbers of its lists:

        keys       sorted hashes
        sets       for each key, the number of its set
        set_sizes  for each set, how many lists it has
        set_lists  the numbers of the lists of all sets, joined
    """
    numbers = np.repeat(np.arange(len(lists), dtype=np.uint16), [hashes.size for hashes in lists])
    keys = np.concatenate([np.empty(0, np.uint64), *lists])
    # Sort by key, then by list, and drop what one list has twice.
    order = np.lexsort((numbers, keys))
    keys = keys[order]
    numbers = numbers[order]
    repeated = np.zeros(keys.size, bool)
    repeated[1:] = (keys[1:] == keys[:-1]) & (numbers[1:] == numbers[:-1])
    keys = keys[~repeated]
    numbers = numbers[~repeated]
    starts = np.empty(0, np.intp)
    if keys.size:
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    # A set is recognised by the sum of a random number for each of its lists: this takes no
    # Python object for each of millions of hashes.
    marks = np.random.default_rng(len(lists)).integers(2**64, size=len(lists), dtype=np.uint64)
    sums = np.add.reduceat(marks[numbers], starts) if keys.size else np.empty(0, np.uint64)
    _, first, sets = np.unique(sums, return_index=True, return_inverse=True)
    ends = np.r_[starts[1:], keys.size]
    members = [numbers[starts[place] : ends[place]] for place in first]
    return {
        "keys": keys[starts],
        "sets": sets.astype(np.min_scalar_type(max(len(members), 1))),
        "set_sizes": np.array([numbers.size for numbers in members], np.uint16),
        "set_lists": np.concatenate([np.empty(0, np.uint16), *members]),
    }


class TextIndex:
    """The lists that a text is on.

    Args:
        arrays: those of `pack_texts`.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._keys = arrays["keys"]
        self._sets = arrays["sets"]
        # The filter: a bit for each value of the upper bits of a hash, set if any key has them.
        used = np.zeros(1 << _FILTER_BITS, bool)
        used[self._keys >> np.uint64(64 - _FILTER_BITS)] = True
        self._filter = np.packbits(used)
        numbers = arrays["set_lists"].tolist()
        ends = [0, *np.cumsum(arrays["set_sizes"]).tolist()]
        self._members = [tuple(numbers[start:end]) for start, end in pairwise(ends)]

    def find(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The place of each text that is on a list, with the numbers of its lists."""
        if not texts or not self._keys.size:
            return
        if len(texts) <= _FEW:
            yield from self._find_few(texts)
            return
        hashes = np.array([xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)
        # The filter ends the search for nearly all texts that are on no list; the binary search
        # among two million keys takes a microsecond.
        marks = hashes >> np.uint64(64 - _FILTER_BITS)
        likely = np.flatnonzero(
            self._filter[marks >> np.uint64(3)]
            & (np.uint8(128) >> (marks & np.uint64(7)).astype(np.uint8))
        )
        keys = self._keys.searchsorted(hashes[likely])
        keys[keys == self._keys.size] = 0
        equal = self._keys[keys] == hashes[likely]
        for place, key in zip(likely[equal].tolist(), keys[equal].tolist(), strict=True):
            yield place, self._members[int(self._sets[key])]

    def _find_few(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The same without arrays, whose set-up costs more than it saves for few texts."""
        bits = self._filter.data
        keys = self._keys
        for place, text in enumerate(texts):
            number = xxh3_64_intdigest(text.encode())
            mark = number >> (64 - _FILTER_BITS)
            if bits[mark >> 3] & (128 >> (mark & 7)):
                key = int(keys.searchsorted(np.uint64(number)))
                if key < keys.size and int(keys[key]) == number:
                    yield place, self._members[int(self._sets[key])]

"""What warning lists say about values: exact texts, names and what is above them, networks, substrings, expressions."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from services.observables.reference import packed_arrays
from services.observables.reference.warning_lists import ListInfo, compiled
from services.observables.store.search_keys import host_of
from shared.stix.addresses import is_ipv4, is_ipv6
from shared.stix.vocabulary import ObservableType as Type

_FEW: Final = 12
_MARKS: Final = 25
"""Bits of a hash that say whether there may be such an entry: 4 MiB, one in sixteen wrongly."""

MAX_REGEX_LENGTH: Final = 512
"""Characters of a value that regular expressions are shown; a longer value is not asked."""


class Hit(NamedTuple):
    """One entry of one list that a value matches.

    Attributes:
        name: of the list.
        category: `false_positive` (nearly always harmless), `known` (says who it is, not what it does) or `special`
            (private, documentation and other special-purpose ranges and names).
        entry: what in the list matched: the network, the host name, the substring, the expression.
        kind: how that list matches.
    """

    name: str
    category: str
    entry: str
    kind: str


class WarningListIndex:
    """All lists, over a packed blob.

    Args:
        blob: what `warning_lists.pack` made.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, arrays = packed_arrays.unpack(blob)
        self.lists = msgspec.convert(about["lists"], list[ListInfo])
        self._concerns = {
            t: frozenset(n for n, one in enumerate(self.lists) if _is_about(one, t)) for t in Type
        }
        self._keys, self._sets = arrays["keys"], arrays["sets"]
        marked = np.zeros(1 << _MARKS, bool)
        marked[self._keys >> np.uint64(64 - _MARKS)] = True
        self._marked = np.packbits(marked)
        self._hit = lru_cache(maxsize=16_384)(self._made)
        self._members = _split(arrays["set_lists"], arrays["set_sizes"])
        self._networks = {Type.IPV4: _Networks(arrays, 32), Type.IPV6: _Networks(arrays, 128)}
        texts = _cut(arrays["needles"].tobytes(), arrays["needle_sizes"].tolist())
        self._texts = list(zip(arrays["needle_lists"].tolist(), texts, strict=True))
        self._needles: dict[Type, _Needles] = {}
        self._regexes = [
            (number, text, found) for number, text in about["regexes"] if (found := compiled(text))
        ]

    def check(self, type_: str, value: str) -> tuple[Hit, ...]:
        """The entries that a canonical value matches."""
        return self.check_many(type_, [value])[0]

    def check_many(self, type_: str, values: Sequence[str]) -> list[tuple[Hit, ...]]:
        """The entries that each canonical value of one type matches."""
        if type_ not in self._concerns:
            return [()] * len(values)
        kind = Type(type_)
        concerned, found = self._concerns[kind], dict[int, list[Hit]]()
        for place, number, entry in self._find(kind, values):
            if number in concerned:
                found.setdefault(place, []).append(self._hit(number, entry))
        return [tuple(found[place]) if place in found else () for place in range(len(values))]

    def _made(self, number: int, entry: str) -> Hit:
        one = self.lists[number]
        return Hit(one.name, one.category, entry, one.kind)

    def _find(self, kind: Type, values: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        names = _names(kind, values)
        yield from self._listed(names, [value.lower() for value in values])
        if kind in self._networks:
            yield from self._networks[kind].find(values)
        elif kind is Type.URL:
            yield from self._hosts(names)
        if kind not in self._needles:
            concerned = self._concerns[kind]
            self._needles[kind] = _Needles([one for one in self._texts if one[0] in concerned])
        yield from self._needles[kind].find([value.lower() for value in values])
        for number, text, expression in self._regexes:
            if number in self._concerns[kind]:
                yield from (
                    (place, number, text)
                    for place, value in enumerate(values)
                    if len(value) <= MAX_REGEX_LENGTH and expression.search(value)
                )

    def _listed(
        self, names: Sequence[str | None], wholes: Sequence[str]
    ) -> Iterator[tuple[int, int, str]]:
        """Whole values and names on any list, and the names above names on lists of host names."""
        named = [(place, name) for place, name in enumerate(names) if name is not None]
        other = [(place, whole) for place, whole in enumerate(wholes) if whole != names[place]]
        above = [(place, text) for place, name in named for text in _above(name)]
        asked = other + named
        for at, numbers in self._members_of([text for _, text in asked]):
            place, text = asked[at]
            for number in numbers:
                yield place, number, text
        # Nearly all have the same few top-level domains above them.
        distinct, hosts = list({text for _, text in above}), dict[str, list[int]]()
        for at, numbers in self._members_of(distinct):
            if found := [number for number in numbers if self.lists[number].kind == "hostname"]:
                hosts[distinct[at]] = found
        for place, text in above if hosts else ():
            for number in hosts.get(text, ()):
                yield place, number, text

    def _members_of(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The place of each text that is an entry, with the lists that have it."""
        if not texts or not self._keys.size:
            return
        if len(texts) <= _FEW:
            yield from self._members_of_few(texts)
            return
        hashes = np.array([xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)
        # One bit for each of many more hashes than there are: nearly all that is on no list ends here, and a search
        # among two million keys costs a microsecond.
        marks = hashes >> np.uint64(64 - _MARKS)
        likely = np.flatnonzero(
            self._marked[marks >> np.uint64(3)]
            & (np.uint8(128) >> (marks & np.uint64(7)).astype(np.uint8))
        )
        at = self._keys.searchsorted(hashes[likely])
        at[at == self._keys.size] = 0
        equal = self._keys[at] == hashes[likely]
        for one, key in zip(likely[equal].tolist(), at[equal].tolist(), strict=True):
            yield one, self._members[int(self._sets[key])]

    def _members_of_few(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The same one by one: arrays of a few cost more than they save."""
        bits, keys = self._marked.data, self._keys
        for one, text in enumerate(texts):
            number = xxh3_64_intdigest(text.encode())
            mark = number >> (64 - _MARKS)
            if bits[mark >> 3] & (128 >> (mark & 7)):
                key = int(keys.searchsorted(np.uint64(number)))
                if key < keys.size and int(keys[key]) == number:
                    yield one, self._members[int(self._sets[key])]

    def _hosts(self, names: Sequence[str | None]) -> Iterator[tuple[int, int, str]]:
        # No name ends in a digit, and trying each as an address costs as much as all the rest.
        v4 = [
            place
            for place, name in enumerate(names)
            if name and name[-1].isdigit() and is_ipv4(name)
        ]
        v6 = [place for place, name in enumerate(names) if name and is_ipv6(name)]
        for kind, places in ((Type.IPV4, v4), (Type.IPV6, v6)):
            if not places:
                continue
            for at, number, entry in self._networks[kind].find(
                [names[place] or "" for place in places]
            ):
                yield places[at], number, entry


def _above(name: str) -> Iterator[str]:
    start = name.find(".")
    while start >= 0:
        yield name[start + 1 :]
        start = name.find(".", start + 1)


def _is_about(one: ListInfo, kind: Type) -> bool:
    return one.types is None or kind.value in one.types


def _names(kind: Type, values: Sequence[str]) -> list[str | None]:
    match kind:
        case Type.DOMAIN:
            return list(values)
        case Type.URL:
            return [host_of(value).lower() for value in values]
        case Type.EMAIL:
            return [value.rpartition("@")[2] for value in values]
    return [None] * len(values)


def _split(flat: packed_arrays.Array, sizes: packed_arrays.Array) -> list[tuple[int, ...]]:
    numbers, ends = flat.tolist(), np.cumsum(sizes).tolist()
    return [tuple(numbers[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _cut(joined: bytes, sizes: list[int]) -> list[bytes]:
    ends = list(accumulate(sizes))
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class _Networks:
    """Which networks are around an address, narrowest first."""

    def __init__(self, arrays: dict[str, packed_arrays.Array], bits: int) -> None:
        self._bits, self._family = bits, AF_INET if bits == 32 else AF_INET6
        # Numbers of 128 bits are compared as the 16 bytes they are.
        self._order = ">u4" if bits == 32 else "S16"
        self._starts = arrays[f"starts{bits}"].view(self._order)
        if bits == 32:
            self._starts = self._starts.astype(np.uint32)
        self._inner = arrays[f"inner{bits}"]
        self._around, self._prefixes = arrays[f"around{bits}"].data, arrays[f"prefixes{bits}"].data
        self._lists = arrays[f"lists{bits}"].data
        # Of each network that was ever met, what is around it: a few thousand of all that lists have.
        self._known: dict[int, tuple[tuple[int, int, str], ...]] = {}

    def find(self, values: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """The place of a value, a list, and the network of that list; for addresses and networks of one family."""
        parts = [value.partition("/") for value in values]
        addresses = [inet_pton(self._family, address) for address, _, _ in parts]
        known = self._known
        for at, number in self._innermost(addresses):
            around = known.get(number)
            if around is None:
                around = known[number] = tuple(self._chain(number, addresses[at]))
            widest = int(parts[at][2] or self._bits)
            for prefix, listed, text in around:
                if prefix <= widest:
                    yield at, listed, text

    def _innermost(self, addresses: Sequence[bytes]) -> Iterable[tuple[int, int]]:
        """The place of each address that lies in a network, and the narrowest one around it."""
        if len(addresses) <= _FEW and self._bits == 32:
            starts, held = self._starts.data, self._inner.data
            found = [
                held[bisect_right(starts, int.from_bytes(one, "big")) - 1] for one in addresses
            ]
            return [(at, number) for at, number in enumerate(found) if number >= 0]
        asked = np.frombuffer(b"".join(addresses), self._order).astype(
            self._starts.dtype, copy=False
        )
        inner = self._inner[self._starts.searchsorted(asked, "right") - 1]
        places = np.flatnonzero(inner >= 0)
        return zip(places.tolist(), inner[places].tolist(), strict=True)

    def _chain(self, number: int, address: bytes) -> Iterator[tuple[int, int, str]]:
        """The networks around a place, narrowest first: prefix length, list, text."""
        while number >= 0:
            prefix = self._prefixes[number]
            yield prefix, self._lists[number], self._text(address, prefix)
            number = self._around[number]

    def _text(self, address: bytes, prefix: int) -> str:
        free = self._bits - prefix
        base = (int.from_bytes(address, "big") >> free << free).to_bytes(len(address), "big")
        return (
            f"{inet_ntop(self._family, base)}/{prefix}" if free else inet_ntop(self._family, base)
        )


class _Needles:
    """Substrings, each known by the piece of it that the fewest others have: a scan meets few false candidates."""

    _WIDTH, _BITS, _FEW = 6, 18, 120

    def __init__(self, needles: Sequence[tuple[int, bytes]]) -> None:
        self._pieces: dict[int, dict[bytes, list[tuple[int, bytes, int]]]] = {}
        common = Counter(piece for _, needle in needles for _, piece in self._cut(needle))
        for number, needle in needles:
            at, piece = min(self._cut(needle), key=lambda one: common[one[1]])
            self._pieces.setdefault(len(piece), {}).setdefault(piece, []).append(
                (at, needle, number)
            )
        self._marked = {width: self._mark(width, pieces) for width, pieces in self._pieces.items()}

    def _cut(self, needle: bytes) -> list[tuple[int, bytes]]:
        width = min(len(needle), self._WIDTH)
        return [(at, needle[at : at + width]) for at in range(len(needle) - width + 1)]

    def _mark(self, width: int, pieces: Iterable[bytes]) -> packed_arrays.Array:
        marked = np.zeros(1 << self._BITS, bool)
        marked[self._places(np.frombuffer(b"".join(pieces), np.uint8), width)[::width]] = True
        return marked

    def _places(self, data: packed_arrays.Array, width: int) -> packed_arrays.Array:
        """Where in the table each window of the data is marked."""
        count = data.size - width + 1
        windows = data[:count].astype(np.uint64)
        for at in range(1, width):
            windows <<= np.uint64(8)
            windows |= data[at : at + count]
        windows *= np.uint64(0x9E3779B97F4A7C15)
        windows >>= np.uint64(64 - self._BITS)
        return windows

    def find(self, texts: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """The place of a text, a list, and the substring of that list it contains."""
        values = [text.encode() for text in texts]
        joined = b"\n".join(values)
        ends = list(accumulate(len(value) + 1 for value in values))
        found: set[tuple[int, int, bytes]] = set()
        for width, pieces in self._pieces.items():
            for place in self._candidates(joined, width):
                for at, needle, number in pieces.get(joined[place : place + width], ()):
                    # No needle has a line's end in it, so what begins in a text ends in it.
                    if place >= at and joined.startswith(needle, place - at):
                        found.add((bisect_right(ends, place - at), number, needle))
        for place, number, needle in sorted(found):
            yield place, number, needle.decode()

    def _candidates(self, joined: bytes, width: int) -> Iterable[int]:
        if len(joined) < self._FEW:
            return range(len(joined) - width + 1)
        found = self._marked[width][self._places(np.frombuffer(joined, np.uint8), width)]
        return np.flatnonzero(found).tolist()

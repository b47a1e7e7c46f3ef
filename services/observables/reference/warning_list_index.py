"""The entries of warning lists that values match.

Entries are exact texts, host names with all names below them, networks, substrings, and regular
expressions.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from services.observables.reference import packed_arrays
from services.observables.reference.expression_index import ExpressionIndex
from services.observables.reference.hosts import host_of
from services.observables.reference.nested_networks import NestedNetworks
from services.observables.reference.substring_index import SubstringIndex
from services.observables.reference.text_index import TextIndex
from services.observables.reference.warning_lists import ListInfo
from shared.stix.addresses import is_ipv4, is_ipv6
from shared.stix.vocabulary import ObservableType as Type

Match = tuple[int, int, str]
"""The place of a value, the number of a list, and the entry of that list."""


class Hit(NamedTuple):
    """One entry of one list that a value matches.

    Attributes:
        name: of the list.
        category: `false_positive` (nearly always harmless), `known` (an identity, which says
            nothing about harm) or `special` (private, documentation and other special-purpose
            ranges and names).
        entry: of the list: the network, the host name, the substring, the expression.
        kind: how that list matches.
    """

    name: str
    category: str
    entry: str
    kind: str


class WarningListIndex:
    """All lists, over a packed blob.

    Args:
        blob: what `warning_lists.pack` returned.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, arrays = packed_arrays.unpack(blob)
        self.lists = msgspec.convert(about["lists"], list[ListInfo])
        self._lists_about = {type_: self._numbers_about(type_) for type_ in Type}
        self._texts = TextIndex(arrays)
        self._networks = {
            Type.IPV4: NestedNetworks(arrays, 32),
            Type.IPV6: NestedNetworks(arrays, 128),
        }
        joined = arrays["needles"].tobytes()
        ends = [0, *accumulate(arrays["needle_sizes"].tolist())]
        needles = [joined[start:end] for start, end in pairwise(ends)]
        self._needles = list(zip(arrays["needle_lists"].tolist(), needles, strict=True))
        # One index for each type, made when the first value of the type is looked up.
        self._substrings: dict[Type, SubstringIndex] = {}
        self._expressions: list[tuple[int, str]] = [
            (number, text) for number, text in about["regexes"]
        ]
        self._expression_indexes: dict[Type, ExpressionIndex] = {}
        self._hit = lru_cache(maxsize=16_384)(self._make_hit)

    def _numbers_about(self, type_: Type) -> frozenset[int]:
        """The numbers of the lists that concern a type."""
        return frozenset(
            number
            for number, info in enumerate(self.lists)
            if info.types is None or type_.value in info.types
        )

    def check(self, type_: str, value: str) -> tuple[Hit, ...]:
        """The entries that a canonical value matches."""
        return self.check_many(type_, [value])[0]

    def check_many(self, type_: str, values: Sequence[str]) -> list[tuple[Hit, ...]]:
        """The entries that each canonical value of one type matches."""
        if type_ not in self._lists_about:
            return [()] * len(values)
        kind = Type(type_)
        lists = self._lists_about[kind]
        hits: dict[int, list[Hit]] = {}
        for place, number, entry in self._find(kind, values):
            if number in lists:
                hits.setdefault(place, []).append(self._hit(number, entry))
        return [tuple(hits[place]) if place in hits else () for place in range(len(values))]

    def _make_hit(self, number: int, entry: str) -> Hit:
        info = self.lists[number]
        return Hit(info.name, info.category, entry, info.kind)

    def _find(self, kind: Type, values: Sequence[str]) -> Iterator[Match]:
        names = _names(kind, values)
        lowered = [value.lower() for value in values]
        yield from self._find_texts(names, lowered)
        if kind in self._networks:
            yield from self._networks[kind].find(values)
        elif kind is Type.URL:
            yield from self._find_hosts(names)
        yield from self._substrings_about(kind).find(lowered)
        yield from self._find_expressions(kind, values)

    def _find_texts(self, names: Sequence[str | None], wholes: Sequence[str]) -> Iterator[Match]:
        """Values and names on any list, and the names above names on lists of host names."""
        named = [(place, name) for place, name in enumerate(names) if name is not None]
        texts = [(place, whole) for place, whole in enumerate(wholes) if whole != names[place]]
        texts += named
        for at, numbers in self._texts.find([text for _, text in texts]):
            place, text = texts[at]
            for number in numbers:
                yield place, number, text
        # Each distinct name above is looked up once: nearly all have the same few top-level
        # domains above them.
        above = [(place, text) for place, name in named for text in _names_above(name)]
        distinct = list({text for _, text in above})
        hosts: dict[str, list[int]] = {}
        for at, numbers in self._texts.find(distinct):
            if listed := [number for number in numbers if self.lists[number].kind == "hostname"]:
                hosts[distinct[at]] = listed
        if hosts:
            for place, text in above:
                for number in hosts.get(text, ()):
                    yield place, number, text

    def _find_hosts(self, names: Sequence[str | None]) -> Iterator[Match]:
        """Networks around the hosts of URLs that are addresses."""
        # No name ends in a digit, and trying each as an address costs as much as all the rest.
        v4 = [
            place
            for place, name in enumerate(names)
            if name and name[-1].isdigit() and is_ipv4(name)
        ]
        v6 = [place for place, name in enumerate(names) if name and is_ipv6(name)]
        for kind, places in ((Type.IPV4, v4), (Type.IPV6, v6)):
            if places:
                hosts = [names[place] or "" for place in places]
                for at, number, entry in self._networks[kind].find(hosts):
                    yield places[at], number, entry

    def _substrings_about(self, kind: Type) -> SubstringIndex:
        index = self._substrings.get(kind)
        if index is None:
            lists = self._lists_about[kind]
            needles = [(number, needle) for number, needle in self._needles if number in lists]
            index = self._substrings[kind] = SubstringIndex(needles)
        return index

    def _find_expressions(self, kind: Type, values: Sequence[str]) -> Iterator[Match]:
        lists = self._lists_about[kind]
        about = [expression for expression in self._expressions if expression[0] in lists]
        index = self._expression_indexes.get(kind)
        if index is None:
            index = self._expression_indexes[kind] = ExpressionIndex([text for _, text in about])
        for place, at in index.find(values):
            number, text = about[at]
            yield place, number, text


def _names_above(name: str) -> Iterator[str]:
    start = name.find(".")
    while start >= 0:
        yield name[start + 1 :]
        start = name.find(".", start + 1)


def _names(kind: Type, values: Sequence[str]) -> list[str | None]:
    """The host name in each value; None for types without names."""
    match kind:
        case Type.DOMAIN:
            return list(values)
        case Type.URL:
            return [host_of(value).strip("[]").lower() for value in values]
        case Type.EMAIL:
            return [value.rpartition("@")[2] for value in values]
    return [None] * len(values)

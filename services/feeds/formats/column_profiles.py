"""What the header and the first cells of a column say about it."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.feeds.formats.fields import is_own_address, type_of
from services.feeds.formats.table_headers import Header, read_header
from services.feeds.formats.table_layout import is_placeholder
from services.feeds.formats.type_words import (
    ADDRESSES,
    HASHES,
    SHAPELESS,
    TEXTS,
    Declared,
    fitting_types,
)
from shared.stix import NotAnObservable, ObservableType, normalise

_T = ObservableType
_MANY: Final = 0.5
"""The share of filled cells that must be observables for a column to be a candidate."""

_NEARLY_ALL: Final = 0.8
DESCRIBING: Final = frozenset({_T.EMAIL, _T.ASN, _T.VULNERABILITY, _T.MAC})
"""Types that describe where the row has observables of another type."""

_SERIAL: Final = re.compile(r"(?:[0-9a-f]{2}:){7}[0-9a-f]{2}", re.IGNORECASE)
"""Serial numbers of certificates that have the form of addresses of IPv6."""


class Profile(NamedTuple):
    """A column that holds observables, or whose header names a type and whose cells are empty.

    Attributes:
        at: its index.
        label: its name, quoted, or its number.
        header: what its header says.
        hits: rows whose cell is an observable.
        type: the type of most of them.
        binding: the type that all of its cells have to be of, if there is one.
        score: how probably its cells are what the table is about.
        is_described: whether the words of its header show that it only describes the row.
        is_repeated: whether its cells show that.
        is_own: whether all of its cells are addresses of private networks.
    """

    at: int
    label: str
    header: Header
    hits: int
    type: ObservableType
    binding: Declared | None
    score: float
    is_described: bool
    is_repeated: bool
    is_own: bool = False

    @property
    def is_context(self) -> bool:
        """Whether header or cells show that it only describes the row."""
        return self.is_described or self.is_repeated

    @property
    def rank(self) -> int:
        """See `Header.rank`."""
        return self.header.rank

    def as_value(self) -> "Profile":
        """The same column, if others show that it holds the values."""
        rank = max(self.rank, 2)
        return self._replace(
            header=self.header._replace(rank=rank), score=self.score - self.rank + rank
        )

    def as_end(self, rank: int) -> "Profile":
        """The same column as one end of connections whose other end is a column as well."""
        return self._replace(
            header=self.header._replace(rank=rank),
            score=self.score - self.rank + rank,
            is_described=False,
            is_repeated=False,
        )


def column_profile(table: list[list[str]], names: list[str], at: int) -> Profile | None:
    """What header and cells say about a column; None if it holds no observables."""
    cells = [cell for row in table if at < len(row) and (cell := row[at].strip())]
    cells = [cell for cell in cells if not is_placeholder(cell)]
    name = names[at] if at < len(names) else ""
    if not cells and not name:
        return None
    header = read_header(name)
    label = f"{name!r}" if name else f"number {at + 1}"
    if not cells:
        return _empty_profile(header, at, label)
    if header.rank == 2 and header.declared in SHAPELESS:
        kinds = _declared_kinds(cells, header.declared)
    else:
        kinds = Counter(kind for cell in cells for kind in _types_in(cell)[:1])
    hits = kinds.total()
    if not hits or hits < len(cells) * _MANY:
        return None
    kind = kinds.most_common(1)[0][0]
    declared = header.declared
    agrees = isinstance(declared, ObservableType) and kinds[declared] >= hits * _NEARLY_ALL
    binding = declared if agrees and header.rank == 2 else None
    contradicts = declared is not None and kind not in fitting_types(declared)
    is_described = (
        header.is_excluded
        or (header.is_context and binding is None)
        or contradicts
        or kind in TEXTS
        or all(map(_SERIAL.fullmatch, cells))
    )
    score = header.rank + hits / max(len(table), 1) - at / 1000
    is_own = kind in ADDRESSES and all(map(is_own_address, cells))
    repeated = _is_repeated(cells, kind)
    return Profile(at, label, header, hits, kind, binding, score, is_described, repeated, is_own)


def _empty_profile(header: Header, at: int, label: str) -> Profile | None:
    """A column whose first cells are empty, and whose header tells what those below are."""
    declared = header.declared
    if declared is None or header.rank < 2 or header.is_context or header.is_excluded:
        return None
    kind = declared if isinstance(declared, ObservableType) else _FIRST_TYPES.get(declared)
    if kind is None or kind in DESCRIBING | TEXTS:
        return None
    return Profile(at, label, header, 0, kind, declared, header.rank - at / 1000, False, False)


_FIRST_TYPES: Final = {ADDRESSES: _T.IPV4, HASHES: _T.SHA256}


def _declared_kinds(cells: Sequence[str], declared: Declared | None) -> Counter[ObservableType]:
    kinds = Counter[ObservableType]()
    for cell in cells:
        if isinstance(declared, ObservableType) and _is_of(cell, declared):
            kinds[declared] += 1
    return kinds


def _is_of(cell: str, kind: ObservableType) -> bool:
    try:
        normalise(kind, cell)
    except NotAnObservable:
        return False
    return True


def _types_in(cell: str) -> list[ObservableType]:
    """The types of a cell's observables: it is one, or a list of some."""
    if kind := type_of(cell):
        return [kind]
    pieces = split_cell(cell)
    kinds = [kind for piece in pieces if (kind := type_of(piece))]
    return kinds if len(pieces) > 1 and len(kinds) == len(pieces) else []


def split_cell(cell: str) -> list[str]:
    """The pieces of a cell that may hold a list, between blanks, commas, semicolons or bars."""
    return [piece for piece in re.split(r"[\s,;|]+", cell) if piece]


def _is_repeated(cells: Sequence[str], kind: ObservableType) -> bool:
    """Whether all cells are the same, or all links of the same site: the row's context."""
    if len(cells) > 2 and len(set(cells)) == 1:
        return True
    if len(cells) < 2 or kind is not _T.URL:
        return False
    hosts = Counter(re.sub(r"^[a-z]+://", "", cell.lower()).split("/", 1)[0] for cell in cells)
    return hosts.most_common(1)[0][1] == len(cells)

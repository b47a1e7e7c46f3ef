"""The layout of a table, found out: delimiter, header, and which column holds what."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from services.feeds.formats.base import MalformedDocument
from services.feeds.formats.fields import TYPES, words
from shared.stix import NotAnObservable, ObservableType, detect

_DELIMITERS = ",;\t|"
_SAMPLED_ROWS = 50
_VALUE_NAMES = {
    "value",
    "ioc",
    "ioc_value",
    "indicator",
    "indicator_value",
    "observable",
    "c2",
    "host",
    "destination",
}
_VALUE_NAMES |= {
    "ip",
    "ip_address",
    "ipaddress",
    "dst_ip",
    "src_ip",
    "dest_ip",
    "address",
    "network",
    "cidr",
}
_BESIDE = re.compile(
    r"link|ref|source|report|permalink|screenshot|info|website|homepage|contact", re.IGNORECASE
)
_CONTEXT = {
    "first_seen": (
        "first_seen",
        "first_seen_utc",
        "firstseen",
        "dateadded",
        "date_added",
        "first_submission",
    ),
    "last_seen": ("last_seen", "last_seen_utc", "lastseen", "last_online", "last_submission"),
    "valid_until": ("valid_until", "expires", "expiration"),
    "tags": ("tags", "tag", "labels"),
    "malware": (
        "malware_printable",
        "malware_family",
        "malware",
        "signature",
        "family",
        "malware_name",
    ),
    "confidence": ("confidence_level", "confidence", "score_confidence"),
    "type": ("ioc_type", "indicator_type", "type"),
}
_STRONGEST_HASH = {ObservableType.SHA256: 3, ObservableType.SHA1: 2, ObservableType.MD5: 1}


class ColumnGuess(NamedTuple):
    """A mapping that was found out: options for `columns`, the values' type when all agree, and the reasons."""

    columns: dict[str, Any]
    type: ObservableType | None
    words: str


def rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """Lines taken apart; what is no row is left out, since this is only a sample."""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    found: Iterator[list[str]] = iter(reader)
    try:
        return [row for row in found if row]
    except csv.Error:
        return [next(csv.reader([line[:1000]], delimiter=delimiter), []) for line in lines]


def delimiter(lines: list[str]) -> str:
    """The delimiter that gives most rows the same number of columns, and more than one; else a comma."""

    def agreement(sign: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in rows(lines, sign))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        return (count / sum(widths.values()), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=agreement)


def header(lines: list[str], comment: str, sign: str, wanted: bool | None) -> tuple[list[str], int]:
    """Names of the columns, and how many of `lines` they take: 1, or 0 when a comment names them or nothing does."""
    table = rows(lines[:_SAMPLED_ROWS], sign)
    first = [cell.strip() for cell in table[0]] if table else []
    width = Counter(len(row) for row in table).most_common(1)[0][0] if table else 0
    if wanted is False:
        return [], 0
    named = [cell.strip() for cell in (rows([comment], sign) or [[]])[0]] if comment.strip() else []
    if len(named) > 1 and len(named) == width and not any(_observable(cell) for cell in named):
        return named, 0
    if wanted or (len(table) > 1 and _are_names(first)):
        return first, 1
    return [], 0


def _are_names(cells: list[str]) -> bool:
    return all(re.search("[A-Za-z]", cell) and len(cell) < 64 for cell in cells) and not any(
        _observable(cell) for cell in cells
    )


def _observable(cell: str) -> ObservableType | None:
    try:
        return detect(cell).type
    except NotAnObservable:
        return None


def place(column: str | int, names: list[str], where: str) -> int:
    """The index of a column.

    Raises:
        MalformedDocument: there is no such column; says which there are.
    """
    if isinstance(column, int):
        if column < 0 or (names and column >= len(names)):
            raise MalformedDocument(f"column {column} is wanted, {_there(names)}", where)
        return column
    keys = [_key(name) for name in names]
    if _key(column) not in keys:
        raise MalformedDocument(f"column {column!r} is wanted, {_there(names)}", where)
    return keys.index(_key(column))


def _there(names: list[str]) -> str:
    return (
        f"the columns are {', '.join(name[:40] for name in names[:30])}"
        if names
        else "the columns have no names"
    )


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().strip("\"'").lower())


def filled(cell: str) -> str | None:
    """A name in a cell; None for the ways in which sources write that there is none."""
    text = words(cell, 128)
    return (
        None
        if text is None or text.lower() in {"none", "n/a", "-", "unknown", "null", "nan"}
        else text
    )


def guess_columns(table: list[list[str]], names: list[str], where: str) -> ColumnGuess:
    """Which column holds the observables, by what its first 50 rows hold and by its name.

    Raises:
        MalformedDocument: none does.
    """
    table = table[:_SAMPLED_ROWS]
    width = max((len(row) for row in table), default=0)
    best = max((_candidate(table, names, at) for at in range(width)), default=None)
    if best is None or not best.hits:
        there = _there(names) if names else f"there are {width} columns without names"
        raise MalformedDocument(f"no column holds observables; {there}", where)
    column: dict[str, Any] = {"value": best.at}
    keys = [_key(name) for name in names]
    for field, known in _CONTEXT.items():
        found = next((keys.index(name) for name in known if name in keys), best.at)
        if found != best.at:
            column[field] = found
    label = f"{names[best.at]!r}" if best.at < len(names) else f"number {best.at + 1}"
    kind = f" as {best.type}" if best.type else ""
    said = f"values taken from column {label}{kind}: {best.hits} of the first {len(table)} rows hold observables there"
    return ColumnGuess(column, best.type, said)


class _Candidate(NamedTuple):
    score: float
    at: int
    hits: int
    type: ObservableType | None


def _candidate(table: list[list[str]], names: list[str], at: int) -> _Candidate:
    kinds = Counter(
        kind for row in table if at < len(row) and (kind := _observable(row[at].strip()))
    )
    hits = sum(kinds.values())
    name = names[at] if at < len(names) else ""
    key = _key(name)
    said = TYPES.get(key) or TYPES.get(key.replace("_", "-"))
    score = hits / max(len(table), 1) - at / 1000
    if said and kinds.get(said):
        score += 1 + _STRONGEST_HASH.get(said, 0) / 10
    elif key in _VALUE_NAMES:
        score += 1
    elif _BESIDE.search(name):
        score -= 0.6
    return _Candidate(score, at, hits, said if said and kinds[said] * 5 >= hits * 4 else None)

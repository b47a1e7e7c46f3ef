"""The layout of a table, guessed from its first lines: delimiter, header, columns."""

import csv
import re
from collections import Counter
from typing import Any, Final, NamedTuple

from services.feeds.formats.base import MalformedDocument
from services.feeds.formats.fields import TYPES_BY_NAME, short_text
from shared.stix import NotAnObservable, ObservableType, detect

_DELIMITERS: Final = ",;\t|"
_SAMPLED_ROWS: Final = 50
# fmt: off
_VALUE_NAMES: Final = frozenset({
    "value", "ioc", "ioc_value", "indicator", "indicator_value", "observable", "c2", "host",
    "destination", "ip", "ip_address", "ipaddress", "dst_ip", "src_ip", "dest_ip", "address",
    "network", "cidr",
})
_CONTEXT_NAMES: Final = {
    "first_seen": (
        "first_seen", "first_seen_utc", "firstseen", "dateadded", "date_added", "first_submission",
    ),
    "last_seen": ("last_seen", "last_seen_utc", "lastseen", "last_online", "last_submission"),
    "valid_until": ("valid_until", "expires", "expiration"),
    "tags": ("tags", "tag", "labels"),
    "malware": (
        "malware_printable", "malware_family", "malware", "signature", "family", "malware_name",
    ),
    "confidence": ("confidence_level", "confidence", "score_confidence"),
    "type": ("ioc_type", "indicator_type", "type"),
}
# fmt: on
_ABOUT_THE_VALUE: Final = re.compile(
    r"link|ref|source|report|permalink|screenshot|info|website|homepage|contact", re.IGNORECASE
)
"""Columns that often hold addresses and are seldom the observable."""
_NO_NAME: Final = frozenset({"none", "n/a", "-", "unknown", "null", "nan"})
_STRONGEST_HASH: Final = {ObservableType.SHA256: 3, ObservableType.SHA1: 2, ObservableType.MD5: 1}


class ColumnGuess(NamedTuple):
    """A guessed mapping.

    Attributes:
        columns: fields of `csv.Columns`.
        type: the type of all values, if they agree.
        note: which column was chosen, and why.
    """

    columns: dict[str, Any]
    type: ObservableType | None
    note: str


def rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The rows of some sampled lines; of lines that are no CSV the first 1,000 characters count."""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    try:
        return [row for row in reader if row]
    except csv.Error:
        return [next(csv.reader([line[:1000]], delimiter=delimiter), []) for line in lines]


def guess_delimiter(lines: list[str]) -> str:
    """The delimiter that gives most rows the same number (over 1) of columns; else a comma."""

    def agreement(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in rows(lines, delimiter))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        return (count / sum(widths.values()), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=agreement)


def header(
    lines: list[str], comment: str, delimiter: str, *, has_header: bool | None
) -> tuple[list[str], int]:
    """The names of the columns, and how many of `lines` they take.

    They take 1 line, or 0 if a comment names the columns or nothing does.

    Args:
        lines: the first lines that hold data.
        comment: the last comment before them, without its mark.
        delimiter: of the table.
        has_header: whether the first row (or the comment) names the columns; None to guess it.
    """
    if has_header is False:
        return [], 0
    table = rows(lines[:_SAMPLED_ROWS], delimiter)
    first = [cell.strip() for cell in table[0]] if table else []
    width = Counter(len(row) for row in table).most_common(1)[0][0] if table else 0
    commented = rows([comment], delimiter) if comment.strip() else []
    names = [cell.strip() for cell in commented[0]] if commented else []
    if 1 < len(names) == width and not any(_observable_type(cell) for cell in names):
        return names, 0
    if has_header or (len(table) > 1 and _are_names(first)):
        return first, 1
    return [], 0


def _are_names(cells: list[str]) -> bool:
    return all(re.search("[A-Za-z]", cell) and len(cell) < 64 for cell in cells) and not any(
        _observable_type(cell) for cell in cells
    )


def _observable_type(cell: str) -> ObservableType | None:
    try:
        return detect(cell).type
    except NotAnObservable:
        return None


def column_index(column: str | int, names: list[str], where: str) -> int:
    """The index of a column that an option names.

    Raises:
        MalformedDocument: there is no such column; the message lists the columns.
    """
    if isinstance(column, int):
        if column < 0 or (names and column >= len(names)):
            raise MalformedDocument(f"column {column} is wanted, {_column_list(names)}", where)
        return column
    keys = [_key(name) for name in names]
    if _key(column) not in keys:
        raise MalformedDocument(f"column {column!r} is wanted, {_column_list(names)}", where)
    return keys.index(_key(column))


def _column_list(names: list[str]) -> str:
    if not names:
        return "the columns have no names"
    return f"the columns are {', '.join(name[:40] for name in names[:30])}"


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().strip("\"'").lower())


def name_or_none(cell: str) -> str | None:
    """The name in a cell; None if the source writes that there is none."""
    text = short_text(cell, 128)
    return None if text is None or text.lower() in _NO_NAME else text


def guess_columns(table: list[list[str]], names: list[str], where: str) -> ColumnGuess:
    """The column of the observables, by the content of the first 50 rows and by its name.

    Raises:
        MalformedDocument: no column holds observables.
    """
    table = table[:_SAMPLED_ROWS]
    width = max((len(row) for row in table), default=0)
    best = max((_candidate(table, names, at) for at in range(width)), default=None)
    if best is None or not best.hits:
        columns = _column_list(names) if names else f"there are {width} columns without names"
        raise MalformedDocument(f"no column holds observables; {columns}", where)
    mapping: dict[str, Any] = {"value": best.at}
    keys = [_key(name) for name in names]
    for field, usual_names in _CONTEXT_NAMES.items():
        at = next((keys.index(name) for name in usual_names if name in keys), best.at)
        if at != best.at:
            mapping[field] = at
    label = f"{names[best.at]!r}" if best.at < len(names) else f"number {best.at + 1}"
    kind = f" as {best.type}" if best.type else ""
    note = (
        f"values taken from column {label}{kind}: "
        f"{best.hits} of the first {len(table)} rows hold observables there"
    )
    return ColumnGuess(mapping, best.type, note)


class _Candidate(NamedTuple):
    score: float
    at: int
    hits: int
    type: ObservableType | None


def _candidate(table: list[list[str]], names: list[str], at: int) -> _Candidate:
    """How probably a column holds the observables: its share of them, its name, its place."""
    cells = [row[at].strip() for row in table if at < len(row)]
    kinds = Counter(kind for cell in cells if (kind := _observable_type(cell)))
    hits = sum(kinds.values())
    name = names[at] if at < len(names) else ""
    key = _key(name)
    named_type = TYPES_BY_NAME.get(key) or TYPES_BY_NAME.get(key.replace("_", "-"))
    score = hits / max(len(table), 1) - at / 1000
    if named_type and kinds.get(named_type):
        score += 1 + _STRONGEST_HASH.get(named_type, 0) / 10
    elif key in _VALUE_NAMES:
        score += 1
    elif _ABOUT_THE_VALUE.search(name):
        score -= 0.6
    agrees = named_type and kinds[named_type] * 5 >= hits * 4
    return _Candidate(score, at, hits, named_type if agrees else None)

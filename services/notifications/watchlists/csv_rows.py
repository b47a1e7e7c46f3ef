"""Entries of a watchlist from CSV, refused with the number of the line that is wrong."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast, get_args

from services.notifications.watchlists.index import EntryKind, canonical_entry
from shared.errors import InvalidInput

_COLUMNS: Final = ("value", "kind", "note")
_MAX_NOTE: Final = 200


def read_entries(text: str) -> list[tuple[str, str, str]]:
    """Kind, canonical value and note of each row; repeated entries count once, the last one.

    Raises:
        InvalidInput: a row cannot be used; the message has its line.
    """
    entries: dict[tuple[str, str], str] = {}
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    columns: Sequence[str] = _COLUMNS
    is_first = True
    for line, row in _rows(reader):
        if is_first and "value" in (names := [cell.strip().lower() for cell in row]):
            columns = names
        else:
            kind, value, note = _entry(columns, row, line)
            entries[kind, value] = note
        is_first = False
    return [(kind, value, note) for (kind, value), note in entries.items()]


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#"):
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(f"Line {reader.line_num} is no CSV: {error}.", field="csv") from error


def _entry(columns: Sequence[str], row: list[str], line: int) -> tuple[str, str, str]:
    cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
    kind = cells.get("kind", "").lower()
    note = cells.get("note", "")
    if kind and kind not in get_args(EntryKind):
        names = ", ".join(get_args(EntryKind))
        raise InvalidInput(f"Line {line}: {kind!r} is no kind; there are {names}.", field="csv")
    if len(note) > _MAX_NOTE or not note.isprintable():
        raise InvalidInput(f"Line {line}: a note has {_MAX_NOTE} characters at most.", field="csv")
    try:
        entry_kind, value = canonical_entry(
            cast("EntryKind", kind) if kind else None, cells.get("value", "")
        )
    except InvalidInput as error:
        raise InvalidInput(f"Line {line}: {error.message}", field="csv") from None
    return entry_kind, value, note

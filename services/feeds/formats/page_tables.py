"""Tables of web pages: which of their columns hold indicators, as in any other table."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.table_columns import described_columns, guess_columns, is_of_context
from services.feeds.formats.table_headers import header_key
from services.feeds.formats.table_layout import are_names
from services.feeds.formats.table_rows import Columns, context_of
from services.feeds.formats.type_words import SHAPELESS
from shared.documents.html import Cell, Table

_MAX_WIDTH: Final = 200


class PageTable(NamedTuple):
    """A table of which some columns are read.

    Attributes:
        names: its header.
        rows: the others.
        values: the columns with the indicators.
        columns: those that describe them.
    """

    names: list[str]
    rows: list[list[str]]
    values: list[int]
    columns: Columns

    def context(self, row: Sequence[str]) -> dict[str, Any]:
        """The fields that describe the indicators of a row; its text, if no column is one."""
        fields = context_of(self.columns, row)
        return {"description": " | ".join(filter(None, row))[:500], **fields}

    def note(self, number: int) -> str:
        """What is read of the table, and which option decides otherwise."""
        labels = ", ".join(repr(self.names[at]) for at in self.values)
        return (
            f"table {number}: values taken from {labels}; its other columns are context "
            "(`--option tables=false` reads all of it as text)"
        )


def read_table(table: Table, names_of_values: Collection[str] | None) -> PageTable | None:
    """A table of a page, if its first row names columns and some of them hold indicators.

    Args:
        table: its rows.
        names_of_values: the headers of the columns that hold them; None to guess.

    Raises:
        AmbiguousDocument: several columns hold observables of one type, and nothing tells them
            apart.
    """
    rows = [texts for row in table if any(texts := _texts(row))]
    if len(rows) < 2 or not 1 < max(map(len, rows)) <= _MAX_WIDTH:
        return None
    names = rows[0]
    is_header = all(cell.is_heading for cell in table[0]) or are_names(names)
    if not is_header or len(set(names)) < 2:
        return None
    if names_of_values is not None:
        keys = {header_key(name) for name in names_of_values}
        values = [at for at, name in enumerate(names) if header_key(name) in keys]
        described = described_columns(rows[1:], names, values)
        columns: dict[str, Any] = {"value": values, **described}
    else:
        columns = _guess(rows[1:], names)
        at = columns.get("value", [])
        values = at if isinstance(at, list) else [at]
    if not values:
        return None
    return PageTable(names, rows[1:], values, msgspec.convert(columns, Columns))


def _texts(row: Sequence[Cell]) -> list[str]:
    return [cell.text for cell in row]


def _guess(rows: list[list[str]], names: list[str]) -> dict[str, Any]:
    """The columns; empty if none holds indicators that are told by their form."""
    try:
        guess = guess_columns(rows, names, "table")
    except AmbiguousDocument as doubt:
        if is_of_context(doubt):
            return {}
        raise _doubt(doubt, names) from None
    except MalformedDocument:
        return {}
    has_form = not any(kind in SHAPELESS for kind in guess.kinds.values())
    is_range = not {"prefix", "end"}.isdisjoint(guess.columns)
    return guess.columns if has_form and not is_range else {}


def _doubt(doubt: AmbiguousDocument, names: Sequence[str]) -> AmbiguousDocument:
    """A doubt about columns in the options of a page."""
    choices: list[dict[str, Any]] = []
    for choice in doubt.alternatives:
        places = choice["options"]["columns"]["value"]
        places = places if isinstance(places, list) else [places]
        choices.append({"columns": [names[at] for at in places if at < len(names)]})
    choices.append({"tables": False})
    message = doubt.message.removeprefix(f"{doubt.where}: ")
    alternatives = [{"format": "html", "options": options} for options in choices]
    return AmbiguousDocument(message, doubt.where, alternatives)

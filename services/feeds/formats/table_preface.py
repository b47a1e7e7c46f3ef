"""Lines above the header of a table: titles, authors and dates, as exports of spreadsheets have."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from services.feeds.formats.fields import type_of
from services.feeds.formats.table_headers import is_value_name
from services.feeds.formats.table_layout import are_names, rows

_MAX_LINES: Final = 20
"""Lines that are searched for the header."""


def preface_length(lines: Sequence[str], delimiter: str) -> int:
    """How many of the first lines stand above the header; 0 where the first line may be it.

    The header is the first line that has a usual name of values, or the line before the first
    observable if each line above has fewer cells.

    Args:
        lines: the first lines that hold data.
        delimiter: of the table.
    """
    table: list[list[str]] = []
    for line in islice(lines, _MAX_LINES):
        cells = [cell.strip() for row in rows([line], delimiter)[:1] for cell in row]
        if line.count('"') % 2:
            return 0  # a cell reaches over several lines
        if any(map(type_of, filter(None, cells))):
            break
        table.append(cells)
    if len(table) < 2 or len(table) in (len(lines), _MAX_LINES):
        return 0
    named = [any(map(is_value_name, cells)) and are_names(cells) for cells in table]
    if any(named):
        return named.index(True)
    *above, header = [sum(map(bool, cells)) for cells in table]
    return len(above) if are_names(table[-1]) and max(above) < header else 0

"""Labels of the cells of tables, so that a narrow place can show each row as a block. No I/O."""

import re
from collections.abc import Sequence
from typing import Final

_COLUMN: Final = re.compile(r"<th(?=[\s>])")
_CELL: Final = re.compile(r"<t[dh](?=[\s>])")


def label_cells(page: str) -> str:
    """Write the name of its column at each cell of the tables of a page.

    Templates have escaped what stands in cells, so that each `<td` is a cell.
    """
    start, *tables = page.split("<table")
    return "<table".join([start, *(_labelled(table) for table in tables)])


def _labelled(table: str) -> str:
    head, head_end, rest = table.partition("</thead>")
    body, body_end, after = rest.partition("</table>")
    if not head_end or not body_end:
        return table
    labels = [_text(column) for column in _COLUMN.split(head)[1:]]
    start, *rows = body.split("<tr")
    body = "<tr".join([start, *(_labelled_row(row, labels) for row in rows)])
    return f"{head}{head_end}{body}{body_end}{after}"


def _labelled_row(row: str, labels: Sequence[str]) -> str:
    names = iter(labels)

    def labelled(match: re.Match[str]) -> str:
        name = next(names, "")
        return f'{match[0]} data-label="{name}"' if name else match[0]

    return _CELL.sub(labelled, row)


def _text(column: str) -> str:
    """The words of a column's head; what is escaped stays so."""
    parts = column.partition("</th>")[0].split("<")
    words = " ".join(part.partition(">")[2] for part in parts)
    return " ".join(words.split()).replace('"', "&quot;")

"""Labels of the cells of tables, so that a narrow place can show each row as a block. No I/O."""

import re
from collections.abc import Sequence
from typing import Final

_TABLE: Final = re.compile(r"<table\b.*?</table>", re.DOTALL)
_HEAD: Final = re.compile(r"<thead\b.*?</thead>", re.DOTALL)
_COLUMN: Final = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW: Final = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL: Final = re.compile(r"<t[dh](?=[\s>])")
_TAG: Final = re.compile(r"<[^>]*>")


def label_cells(page: str) -> str:
    """Write the name of its column at each cell of the tables of a page.

    Templates have escaped what stands in cells, so that each `<td` is a cell.
    """
    return _TABLE.sub(lambda match: _labelled(match[0]), page) if "<thead" in page else page


def _labelled(table: str) -> str:
    head = _HEAD.search(table)
    if head is None:
        return table
    labels = [_text(column) for column in _COLUMN.findall(head[0])]
    rows = _ROW.sub(lambda match: _labelled_row(match[0], labels), table[head.end() :])
    return f"{table[: head.end()]}{rows}"


def _labelled_row(row: str, labels: Sequence[str]) -> str:
    names = iter(labels)

    def labelled(match: re.Match[str]) -> str:
        name = next(names, "")
        return f'{match[0]} data-label="{name}"' if name else match[0]

    return _CELL.sub(labelled, row)


def _text(column: str) -> str:
    """The words of a column's head; what is escaped stays so."""
    return " ".join(_TAG.sub(" ", column).split()).replace('"', "&quot;")

"""Text in columns of fixed width: where the columns begin, and the cells of a line."""

from collections.abc import Sequence
from typing import Final

_MIN_LINES: Final = 3
_MAX_WIDTH: Final = 2000
"""Characters of a line that count."""

_GAP: Final = 2
"""Blanks that all lines have between two columns; one may stand within a cell."""


def column_starts(lines: Sequence[str]) -> list[int]:
    """The places, from 0, where columns begin; empty if the lines have no such columns.

    Args:
        lines: the first lines that hold data, a header among them.
    """
    lines = [line[:_MAX_WIDTH].rstrip() for line in lines]
    if len(lines) < _MIN_LINES or any("\t" in line for line in lines):
        return []
    width = max(map(len, lines))
    blank = set(range(width))
    for line in lines:
        blank.difference_update(at for at, sign in enumerate(line) if not sign.isspace())
    starts = [
        at
        for at in range(width)
        if at not in blank and blank.issuperset(range(at - _GAP, at) if at else ())
    ]
    return starts if len(starts) > 1 else []


def in_tabs(line: str, starts: Sequence[int]) -> str:
    """A line with tabs between its cells, and without the marks that tables quote cells by."""
    ends = [*starts[1:], None]
    cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return "\t".join(cells).replace('"', "")

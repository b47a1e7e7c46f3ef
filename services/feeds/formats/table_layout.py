"""The layout of a table, guessed from its first lines: delimiter and header."""

import csv
import re
from collections import Counter
from typing import Final

from services.feeds.formats.base import MalformedDocument
from services.feeds.formats.fields import short_text, type_of

_DELIMITERS: Final = ",;\t|"
_SAMPLED_ROWS: Final = 50
_FORMULA: Final = re.compile(
    r"""((?:^|[,;\t|])[ ]?)(?:=["]([^"]*)["]|["]=["]{2}([^"]*)["]{3})(?=\s*(?:$|[,;\t|]))"""
)
_NUMBERED: Final = re.compile(r"#[0-9]{1,9}\"?\s?([,;\t|])")
_NO_NAME: Final = frozenset({"none", "n/a", "-", "unknown", "null", "nan", "(empty)"})


def rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The rows of some sampled lines; of lines that are no CSV the first 1,000 characters count."""
    texts = [plain_text(line.rstrip("\r")) for line in lines]
    reader = csv.reader((f"{text}\n" for text in texts), delimiter=delimiter, skipinitialspace=True)
    try:
        return [row for row in reader if row]
    except csv.Error:
        return [text[:1000].split(delimiter) for text in texts if text]


def plain_text(line: str) -> str:
    """A line of a table with its texts alone, where Excel wrote them as formulas: `="text"`."""
    if '="' not in line:
        return line
    return _FORMULA.sub(lambda match: f'{match[1]}"{match[2] or match[3]}"', line)


def guess_delimiter(lines: list[str]) -> str:
    """The delimiter that gives most rows the same number (over 1) of columns; else a comma.

    Where titles are more than rows, those that have it decide.
    """

    def agreement(delimiter: str) -> tuple[float, int, int]:
        widths = Counter(len(row) for row in rows(lines, delimiter))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if width > 1:
            return count / widths.total(), width, 0
        # Two cells may also be a list in a table of one column.
        counts = [count for width, count in widths.items() if width > 2 and count > 1]
        return 0.0, 0, max(counts, default=0)

    return max(_DELIMITERS, key=agreement)


def is_delimited(lines: list[str], delimiter: str) -> bool:
    """Whether at least half of some lines have the delimiter."""
    table = rows(lines, delimiter)
    return sum(len(row) > 1 for row in table) * 2 >= len(table)


def usual_width(lines: list[str], names: list[str], delimiter: str) -> int:
    """The number of cells that a row has: as the header, or as most of the first rows have."""
    widths = Counter(len(row) for row in rows(lines[:_SAMPLED_ROWS], delimiter))
    if names:
        return max(len(names), widths.most_common(1)[0][0])
    # Of two numbers that are as frequent the smaller: a delimiter within a name adds cells.
    return min(widths, key=lambda width: (-widths[width], width), default=0)


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
    names = _commented_names(comment, delimiter)
    if 1 < len(names) == width and not any(map(type_of, names)):
        return names, 0
    if has_header or (len(table) > 1 and are_names(first)):
        return first, 1
    return [], 0


def _commented_names(comment: str, delimiter: str) -> list[str]:
    """The cells of a comment; in Zeek's files a word before them says that they are names."""
    commented = rows([comment], delimiter) if comment.strip() else []
    names = [cell.strip() for cell in commented[0]] if commented else []
    return names[1:] if names[:1] == ["fields"] else names


def are_names(cells: list[str]) -> bool:
    """Whether the cells of a row name columns; those at its end may be empty."""
    width = next((at for at in range(len(cells), 0, -1) if cells[at - 1]), 0)
    cells = cells[:width]
    return (
        bool(cells)
        and all(re.search("[A-Za-z]", cell) and len(cell) < 64 for cell in cells)
        and not any(map(type_of, cells))
    )


def is_data(line: str, comment: str) -> bool:
    """Whether a line is a row, and neither blank nor a comment, which begins with `comment`."""
    text = line.strip()
    if not (comment and text.startswith(comment)):
        return bool(text)
    return comment == "#" and _is_numbered(text)


def _is_numbered(line: str) -> bool:
    """Whether a line that begins with `#` is a row with a number and an observable: `#1,…`."""
    match = _NUMBERED.match(line)
    if match is None:
        return False
    row = rows([line], match[1])[:1]
    return any(type_of(cell.strip()) for cell in row[0][1:])


def column_index(column: str | int, names: list[str], where: str) -> int:
    """The index of a column that an option names.

    Raises:
        MalformedDocument: there is no such column; the message lists the columns.
    """
    if isinstance(column, int):
        if column < 0 or (names and column >= len(names)):
            raise MalformedDocument(f"column {column} is wanted, {column_list(names)}", where)
        return column
    keys = [column_key(name) for name in names]
    if column_key(column) not in keys:
        raise MalformedDocument(f"column {column!r} is wanted, {column_list(names)}", where)
    return keys.index(column_key(column))


def column_list(names: list[str]) -> str:
    """The names of the columns, for a message."""
    if not names:
        return "the columns have no names"
    return f"the columns are {', '.join(name[:40] for name in names[:30])}"


def column_key(name: str) -> str:
    """A column's name in the form in which names are compared."""
    return re.sub(r"[\s_-]+", "_", name.strip().strip("\"'").lower())


def is_placeholder(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.lower() in _NO_NAME


def name_or_none(cell: str) -> str | None:
    """The name in a cell; None if the source writes that there is none."""
    text = short_text(cell, 128)
    return None if text is None or text.lower() in _NO_NAME else text

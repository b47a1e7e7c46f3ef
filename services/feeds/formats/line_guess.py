"""The probable format of a document of lines: a list, a table, or a report."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from services.feeds.formats import styles, table_layout
from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.fields import type_of
from services.feeds.formats.fixed_width import column_starts, in_tabs
from services.feeds.formats.list_layout import guess_list, plain_texts, texts_without_ports
from services.feeds.formats.log_columns import has_ports
from services.feeds.formats.text import TextFormat, TextOptions
from shared.errors import InvalidInput
from shared.stix.extract import extract

_SAMPLED: Final = 200
_LIST_ENDINGS: Final = TextFormat.media[1:]
_COMMENTS: Final = tuple(TextOptions().comment)
_SYNTAXES: Final = ("adblock", "dnsmasq", "rpz")
"""Styles that no table has, whatever its name says."""
_FEW: Final = 0.1
_MANY: Final = 0.5
"""Shares of lines."""


def guess_lines(text: str, ending: str) -> tuple[str, str]:
    """The format of a text, and the reason for it.

    Args:
        text: its beginning.
        ending: of its name, in lower case.

    Raises:
        InvalidInput: it is of no such format, or the guess is in doubt.
    """
    # A table's last cells may be empty: tabs at a line's end count.
    all_lines = [line.strip(" \r") for line in text.split("\n")]
    style = styles.guess_style([line.strip() for line in all_lines])
    lines = [line for line in all_lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise InvalidInput(
            "the document holds no data to tell its format by; name the format", field="format"
        )
    is_table = ending in ("csv", "tsv")
    if style in _SYNTAXES or (style is not None and not is_table):
        return "text", f"it is a list in the style of {style}"
    sample = list(islice(lines, _SAMPLED))
    if is_table and not _is_log(sample):
        return "csv", f"its name ends in .{ending}"
    return (
        _guess_table(sample) or _guess_fixed_width(sample) or _guess_list_or_report(lines, ending)
    )


def _is_log(sample: list[str]) -> bool:
    """Whether lines are pairs `key=value` and no rows of a table."""
    return bool(styles.keys_of(sample)) and _guess_table(sample) is None


def _guess_table(sample: list[str]) -> tuple[str, str] | None:
    """A table, if a header or several columns of observables show that it is one."""
    delimiter = table_layout.guess_delimiter(sample)
    table = table_layout.rows(sample, delimiter)
    names, _ = table_layout.header(sample, "", delimiter, has_header=None)
    if len(names) > 1 and _fit(table, len(names)):
        return "csv", f"its first line names {len(names)} columns, and every row has as many"
    width = max(map(len, table), default=0)
    if width < 2 or not _fit(table, width):
        return None
    holds = [_count_observables(table, at) for at in range(width)]
    kinds = {type_of(cell.strip()) for cell in table[0]}
    # One line of values of one type is a list that stands on one line.
    several = sum(count >= len(table) * _MANY for count in holds) > 1
    if several and (len(kinds) > 1 or len(table) > 1):
        return "csv", "several of its columns hold observables"
    if holds[0] >= len(table) * _MANY and any(delimiter in plain_texts(line)[0] for line in sample):
        return "csv", f"its rows have {width} columns, between {delimiter!r}"
    if width > 2 and max(holds[1:]) >= len(table) * _MANY > holds[0]:
        return "csv", f"a column of its {width} holds observables, and it is not the first"
    return None


def _guess_fixed_width(lines: list[str]) -> tuple[str, str] | None:
    """A table in columns of fixed width, if a header names them and one holds observables."""
    delimiter = table_layout.guess_delimiter(lines)
    starts = [] if table_layout.is_delimited(lines, delimiter) else column_starts(lines)
    if not starts:
        return None
    lines = [in_tabs(line, starts) for line in lines]
    names, header_lines = table_layout.header(lines, "", "\t", has_header=None)
    table = table_layout.rows(lines[header_lines:], "\t")
    if len(names) != len(starts) or not table:
        return None
    if max(_count_observables(table, at) for at in range(len(starts))) < len(table) * _MANY:
        return None
    return "csv", f"its first line names {len(names)} columns of fixed width"


def _count_observables(table: Sequence[Sequence[str]], at: int) -> int:
    """The rows whose cell in a column is an observable."""
    return sum(type_of(row[at].strip()) is not None for row in table if at < len(row))


def _fit(table: Sequence[Sequence[str]], width: int) -> bool:
    """Whether rows have so many cells; empty ones at the end may be missing."""
    return all(width - 1 <= len(row) <= width for row in table[:20]) and any(
        len(row) == width for row in table[1:20] or table
    )


def _guess_list_or_report(lines: Sequence[str], ending: str) -> tuple[str, str]:
    data = [line.strip() for line in lines if not line.lstrip().startswith(_COMMENTS)]
    data = data or [line.strip() for line in lines]
    texts_of = texts_without_ports if has_ports(data[:_SAMPLED]) else plain_texts
    hits = sum(all(map(type_of, texts_of(line))) for line in data)
    if hits > len(data) * _MANY:
        return "text", f"{hits} of its first {len(data)} lines begin with an observable"
    guess = guess_list(data[:_SAMPLED], None)
    if guess.column is not None or guess.key is not None or guess.style is not None:
        return "text", guess.notes[0]
    mentions = sum(next(extract(line), None) is not None for line in data[:_SAMPLED])
    if mentions > hits and mentions >= min(len(data), _SAMPLED) * _MANY:
        return "report", f"{mentions} of its first lines name observables among other words"
    if hits >= len(data) * _FEW:
        return "text", f"{hits} of its first {len(data)} lines begin with an observable"
    if f".{ending}" in _LIST_ENDINGS and all(len(line.split()) == 1 for line in data):
        return "text", f"its name ends in .{ending}, and every line holds one word"
    delimiter = table_layout.guess_delimiter(data[:_SAMPLED])
    widths = {len(row) for row in table_layout.rows(data[:20], delimiter)}
    if len(widths) == 1 and widths.pop() > 2:
        return "csv", "every row has the same number of columns"
    if sum(line.startswith(("|", "+-")) for line in data) > len(data) * _MANY:
        raise _framed_table()
    raise InvalidInput(
        "this is text, but neither a list of observables nor a table; `--format report` takes the "
        "observables out of prose",
        field="format",
    )


def _framed_table() -> AmbiguousDocument:
    """The refusal of a table in a frame, which only options can tell from prose."""
    frame = {"delimiter": "|", "comment": "+", "header": True}
    return AmbiguousDocument(
        "This is a table in a frame: say that it is one, or that it is prose.",
        "line 1",
        [{"format": "csv", "options": frame}, {"format": "report", "options": {}}],
    )

"""The form of answers: tables for people, JSON for programs, one line on stderr for errors."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_CONTROLS: Final = re.compile("[\x7f-\x9f]")
"""Control characters that JSON need not escape: DEL and C1."""
_LONG_TABLE: Final = 200
"""Rows from which a table is written as it is: rich takes milliseconds for each row."""
_PADDED: Final = 60
"""Characters to which cells of a long table are padded at most; a longer one moves its line."""
_PLAIN_WIDTH = 200
"""Columns where there is no terminal: wide enough that a line stays a line."""


def make_console(*, to_stderr: bool = False) -> Console:
    """A console on stdout or stderr; without colours, and wide, when that is no terminal."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def show(*blocks: RenderableType) -> None:
    """Print for people, on stdout."""
    console = make_console()
    for block in blocks:
        if isinstance(block, str):
            typer.echo(block)
            continue
        # A line stays one line, so that it can be pasted; a table fits itself to the terminal.
        console.print(block, soft_wrap=isinstance(block, Text) or None)


def print_note(message: str) -> None:
    """Print a line beside the answer, on stderr, so that stdout stays the answer."""
    make_console(to_stderr=True).print(Text(printable(message)))


def print_json(data: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(_escaped(json.dumps(data, indent=2, ensure_ascii=False, default=str)))


def print_json_line(data: Any) -> None:
    """Print one JSON document on one line of stdout, at once."""
    typer.echo(to_json(data))
    sys.stdout.flush()


def exit_with_error(message: str, code: int = 1) -> NoReturn:
    """End the command with an error on stderr."""
    line = Text.assemble(("error: ", "bold red"), printable(message))
    # A terminal may break long lines itself: a line that is pasted stays one line.
    make_console(to_stderr=True).print(line, soft_wrap=True)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """Text without control characters, with which a source's data could steer a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


def cell(value: Any) -> Text:
    """A value as a cell of a table, or as a line."""
    match value:
        case None:
            return Text("-", style="dim")
        case Text():
            return value
        case _:
            return Text(printable(_format(value)))


def _format(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(map(str, value))
        case dict():
            return to_json(value)
        case _:
            return str(value)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "none"
) -> RenderableType:
    """Rows under column names; the line `empty` when there are none."""
    listed = list(rows)
    if not listed:
        return Text(empty, style="dim")
    if len(listed) > _LONG_TABLE:
        return _long_table(columns, listed)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        is_number = any(_is_number(row[index]) for row in listed)
        grid.add_column(name, overflow="fold", justify="right" if is_number else "left")
    for row in listed:
        grid.add_row(*map(cell, row))
    return grid


def _long_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The lines of a table of many rows; nothing in them is cut or wrapped."""
    lines = [tuple(columns), *map(_plain_cells, rows)]
    widths = [min(_PADDED, max(map(len, texts))) for texts in zip(*lines, strict=True)]
    is_number = [any(map(_is_number, values)) for values in zip(*rows, strict=True)]
    padded = []
    for line in lines:
        texts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ]
        padded.append("   ".join(texts).rstrip())
    padded.insert(1, "─" * max(map(len, padded)))
    return "\n".join(padded)


def _plain_cells(row: Sequence[Any]) -> tuple[str, ...]:
    return tuple(cell(value).plain for value in row)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def details(pairs: Mapping[str, Any]) -> RenderableType:
    """Names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        grid.add_row(Text(name, style="bold"), cell(value))
    return grid


def format_time(text: str | None) -> str | None:
    """A time of an API to the second, in UTC as it came."""
    return None if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def format_counts(counts: Mapping[str, int]) -> str:
    """Counts as text, the largest first: "31 domain-name, 2 url"."""
    largest_first = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count:,} {name}" for name, count in largest_first)


def to_json(data: Any) -> str:
    """Data as JSON on one line."""
    return _escaped(json.dumps(data, ensure_ascii=False, default=str))


def _escaped(document: str) -> str:
    """JSON in which DEL and the C1 control characters, as others, are escapes.

    A terminal would obey them. In JSON they stand in strings alone, where escapes mean the same.
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", document)

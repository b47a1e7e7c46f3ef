"""How answers look: tables for people, plain JSON for programs, one line on stderr for what went wrong."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 200
"""Columns where there is no terminal to ask: wide enough that a line stays a line."""


def console(*, to_stderr: bool = False) -> Console:
    """A console on stdout or stderr; without colours, and wide, when that is no terminal."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def show(*renderables: RenderableType) -> None:
    """Write for people, on stdout."""
    out = console()
    for one in renderables:
        out.print(one)


def say(message: str) -> None:
    """Write a line beside the answer, on stderr, so that stdout stays the answer."""
    console(to_stderr=True).print(Text(clean(message)))


def echo_json(data: Any) -> None:
    """Write JSON on stdout."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def echo_json_line(data: Any) -> None:
    """Write one JSON document on one line of stdout, at once."""
    typer.echo(as_json(data))
    sys.stdout.flush()


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with an error on stderr."""
    console(to_stderr=True).print(Text.assemble(("error: ", "bold red"), clean(message)))
    raise typer.Exit(code)


def clean(text: str) -> str:
    """Text without the control characters with which other people's data could steer a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


def cell(value: Any) -> Text:
    """A value as a cell of a table."""
    match value:
        case None:
            return Text("-", style="dim")
        case Text():
            return value
        case _:
            return Text(clean(_words(value)))


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(map(str, value))
        case dict():
            return as_json(value)
        case _:
            return str(value)


def moment(text: str | None) -> str | None:
    """A time of an API as people read it: to the second, in UTC as it came."""
    return None if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "nothing"
) -> RenderableType:
    """Rows under column names; one line saying `empty` when there are none."""
    listed = list(rows)
    if not listed:
        return Text(empty, style="dim")
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        number = any(isinstance(row[at], int) and not isinstance(row[at], bool) for row in listed)
        made.add_column(name, overflow="fold", justify="right" if number else "left")
    for row in listed:
        made.add_row(*map(cell, row))
    return made


def details(pairs: Mapping[str, Any]) -> RenderableType:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        made.add_row(Text(name, style="bold"), cell(value))
    return made


def timestamp(text: str) -> float:
    """A time of an API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def as_json(data: Any) -> str:
    """Data as JSON on one line."""
    return json.dumps(data, ensure_ascii=False, default=str)


def counted(counts: Mapping[str, int]) -> str:
    """Counts in words, the largest first: "31 domain-name, 2 url"."""
    return ", ".join(
        f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1])
    )

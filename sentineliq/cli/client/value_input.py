"""Values of the command line: from arguments, files and standard input."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import typer

STDIN: Final = "-"


def read_values(arguments: Iterable[str], file: Path | None = None) -> list[str]:
    """The values that a command is about, in their order.

    Args:
        arguments: values; `-` stands for those of standard input, one a line.
        file: a file with more, one a line; lines that begin with `#` are comments.

    Raises:
        BadParameter: there are none.
    """
    values: list[str] = []
    for argument in arguments:
        values += _lines(sys.stdin) if argument == STDIN else [argument]
    if file is not None:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            values += _lines(lines)
    if not values and file is None and not sys.stdin.isatty():
        values += _lines(sys.stdin)
    if not values:
        raise typer.BadParameter(
            "name at least one value, or give values one a line: with --file, or on standard input",
            param_hint="VALUE",
        )
    return values


def _lines(lines: Iterable[str]) -> Iterator[str]:
    """The lines that hold something, without blanks around them."""
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            yield text

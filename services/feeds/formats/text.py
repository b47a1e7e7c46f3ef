"""Plain lists with an observable per line: blocklists, hosts files, Maltrail's trails."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import styles
from services.feeds.formats.base import (
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    read_options,
    refused_item,
    typed_value,
)
from services.feeds.formats.fields import type_option
from services.feeds.formats.streams import numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_HEAD_LINES = 200
# Ends a first column: a separator, a comment without a blank before it, a quote.
_END_OF_COLUMN = re.compile("[,;|#\"'<>]")
# Addresses to which hosts files send the names that they block. None of them is bound.
_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"})  # noqa: S104
_WHOLE_LINE_TYPES = frozenset(
    {ObservableType.FILE_NAME, ObservableType.MUTEX, ObservableType.REGISTRY_KEY}
)


class TextOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a list.

    Attributes:
        type: the type of every line; without it each line's type is detected.
        style: plain, hosts, adblock, dnsmasq, rpz or ranges; without it the first lines decide.
        column: index, from 0, of the column with the observable; white space separates columns.
        comment: beginnings of comment lines.
    """

    type: str | None = None
    style: str | None = None
    column: int | None = None
    comment: list[str] = msgspec.field(default_factory=lambda: ["#", ";", "//", "!"])


class TextFormat:
    """Lists with comments (`#`, `;`, `//`, `!`, also behind a value); the first column counts.

    In hosts files (`0.0.0.0 name …`) the names count. Ports are dropped, defanged forms understood.
    `styles` reads the syntax of other programs' lists.
    """

    name: ClassVar[str] = "text"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = (
        "text/plain",
        ".txt",
        ".list",
        ".ioc",
        ".ipset",
        ".netset",
        ".hosts",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        text_options = read_options(TextOptions, options)
        reader: TextReader | None = None
        for number, lines in numbered_lines(stream):
            notes: list[str] = []
            if reader is None:
                reader = TextReader(lines[:_HEAD_LINES], text_options)
                notes = list(reader.notes)
            result = reader.read(lines, range(number, number + len(lines)))
            if result.indicators or result.dropped or notes:
                yield ParsedBatch(result.indicators, result.dropped, notes)

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "TextReader":
        """See `LineFormat.reader`."""
        return TextReader(head, read_options(TextOptions, options))


class TextReader:
    """Reads the lines of a list, each independently."""

    def __init__(self, head: Sequence[str], options: TextOptions) -> None:
        self._kind = type_option(options.type)
        self._comment = tuple(options.comment)
        self.notes: Sequence[str] = ()
        style = options.style
        if style is None and options.column is None and self._kind not in _WHOLE_LINE_TYPES:
            style = styles.guess_style(head)
            if style is not None:
                self.notes = (f"read as a list in the style of {style}",)
        self._line_texts = self._texts_of(style, options.column)
        self.layout = repr((self._kind, style))

    def _texts_of(self, style: str | None, column: int | None) -> styles.LineTexts:
        """The function that gives the observables' texts of a line."""
        if style is not None and style != "plain" and style not in styles.STYLES:
            names = ", ".join(("plain", *styles.STYLES))
            raise InvalidInput(
                f"{style!r} is no style of a list; one of {names}", field="options.style"
            )
        if column is not None:
            return lambda line: line.split()[column : column + 1]
        if self._kind in _WHOLE_LINE_TYPES:
            return lambda line: [line]
        return styles.STYLES.get(style or "plain", plain_texts)

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        result = ReadLines([], [], [])
        kind = self._kind
        comment = self._comment
        line_texts = self._line_texts
        # A list has millions of lines: bound methods save two look-ups on each.
        add_indicator = result.indicators.append
        add_line = result.lines.append
        for at, line in enumerate(lines):
            stripped = line.strip()
            if not stripped or stripped.startswith(comment):
                continue
            for text in line_texts(stripped):
                try:
                    add_indicator(ParsedIndicator(*typed_value(kind, text)))
                except NotAnObservable as refusal:
                    result.dropped.append(refused_item(f"line {numbers[at]}", stripped, refusal))
                else:
                    add_line(at)
        return result


def plain_texts(line: str) -> list[str]:
    """The first column of a stripped line that is no comment, or the names of a hosts entry."""
    columns = line.split(None, 1)
    first = columns[0]
    if len(columns) > 1 and first in _SINKS:
        entry = re.split(r"\s#|\s;", f" {columns[1]}", maxsplit=1)[0]
        names = [name for name in entry.split() if not name.isdigit()]
        if names:
            return names
    return [_first_column(first) if _END_OF_COLUMN.search(first) else first]


def _first_column(token: str) -> str:
    """The token up to a comma or such; within a URL these may belong to it."""
    if token[0] in "\"'<":
        closing = {"<": ">"}.get(token[0], token[0])
        return token[1:].partition(closing)[0]
    if "://" in token:
        return token.rstrip(",;|\"'>")
    return _END_OF_COLUMN.split(token, maxsplit=1)[0]

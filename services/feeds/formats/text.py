"""Plain lists: one observable a line, as blocklists, hosts files and Maltrail's trails are written."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import styles
from services.feeds.formats.base import (
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.fields import type_option
from services.feeds.formats.streams import numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_HEAD_LINES = 200
# What a bare token does not hold: the end of a first column, a comment without a blank before it, quotes.
_MORE = re.compile("[,;|#\"'<>]")
_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"})  # noqa: S104 - compared, never bound
_WHOLE_LINE = frozenset(
    {ObservableType.FILE_NAME, ObservableType.MUTEX, ObservableType.REGISTRY_KEY}
)


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a list.

    Attributes:
        type: the type of every line; detected line by line when not given.
        style: plain, hosts, adblock, dnsmasq, rpz or ranges; told by the first lines when not given.
        column: which of the columns, separated by white space, holds the observable; from 0.
        comment: what comment lines begin with.
    """

    type: str | None = None
    style: str | None = None
    column: int | None = None
    comment: list[str] = msgspec.field(default_factory=lambda: ["#", ";", "//", "!"])


class TextFormat:
    """Lists with comments (`#`, `;`, `//`, `!`, also after the value); of columns the first counts.

    In hosts files (`0.0.0.0 name …`) the names count. Ports are dropped, defanged forms understood. The syntax of
    other programs' lists is in `styles`.
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
        read_options(Options, options)
        reader: TextReader | None = None
        for number, lines in numbered_lines(stream):
            if reader is None:
                reader = self.reader(lines[:_HEAD_LINES], options)
            found = reader.read(lines, range(number, number + len(lines)))
            notes = list(reader.notes) if number == 1 else []
            if found.indicators or found.dropped or notes:
                yield ParsedBatch(found.indicators, found.dropped, notes)

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "TextReader":
        """See `LineFormat.reader`."""
        return TextReader(head, read_options(Options, options))


class TextReader:
    """Reads the lines of a list, each by itself."""

    def __init__(self, head: Sequence[str], options: Options) -> None:
        self._kind = type_option(options.type)
        self._comment = tuple(options.comment)
        self.notes: Sequence[str] = ()
        style = options.style
        if style is None and options.column is None and self._kind not in _WHOLE_LINE:
            style = styles.guess_style(head)
            if style is not None:
                self.notes = (f"read as a list in the style of {style}",)
        self._tokens = self._reading(style, options.column)
        self.layout = repr((self._kind, style))

    def _reading(self, style: str | None, column: int | None) -> styles.Tokens:
        """What takes the observables' texts out of a line."""
        if style is not None and style != "plain" and style not in styles.STYLES:
            known = ", ".join(("plain", *styles.STYLES))
            raise InvalidInput(
                f"{style!r} is no style of a list; one of {known}", field="options.style"
            )
        if column is not None:
            return lambda line: line.split()[column : column + 1]
        if self._kind in _WHOLE_LINE:
            return lambda line: [line]
        return styles.STYLES.get(style or "plain", values)

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        found, kind, comment, tokens = (
            ReadLines([], [], []),
            self._kind,
            self._comment,
            self._tokens,
        )
        take, place = found.indicators.append, found.lines.append
        for at, line in enumerate(lines):
            text = line.strip()
            if not text or text.startswith(comment):
                continue
            for token in tokens(text):
                try:
                    take(ParsedIndicator(*typed(kind, token)))
                except NotAnObservable as refusal:
                    found.dropped.append(dropped(f"line {numbers[at]}", text, refusal))
                else:
                    place(at)
        return found


def values(line: str) -> list[str]:
    """The observables' texts in a stripped line that is no comment: one, or the names of a line of a hosts file."""
    columns = line.split(None, 1)
    first = columns[0]
    if len(columns) > 1 and first in _SINKS:
        names = [
            name
            for name in re.split(r"\s#|\s;", f" {columns[1]}", maxsplit=1)[0].split()
            if not name.isdigit()
        ]
        if names:
            return names
    return [_bare(first) if _MORE.search(first) else first]


def _bare(token: str) -> str:
    """The first column of a token: commas and such end it, but within a URL they may belong to it."""
    if token[0] in "\"'<":
        return token[1:].partition({"<": ">"}.get(token[0], token[0]))[0]
    if "://" in token:
        return token.rstrip(",;|\"'>")
    return _MORE.split(token, maxsplit=1)[0]

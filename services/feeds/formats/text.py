"""Plain lists: one observable a line, as blocklists, hosts files and Maltrail's trails are written."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats.base import Batch, ReadLines, Record, dropped, read_options, typed
from services.feeds.formats.fields import type_option
from services.feeds.formats.reading import numbered_lines
from shared.stix import NotAnObservable, ObservableType

_COMMENTS = ("#", ";", "//", "!")
# What a bare token does not hold: the end of a first column, a comment without a blank before it, quotes.
_MORE = re.compile("[,;|#\"'<>]")
_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"})  # noqa: S104 - compared, never bound
_WHOLE_LINE = frozenset({ObservableType.FILE_NAME, ObservableType.MUTEX, ObservableType.REGISTRY_KEY})


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a list.

    Attributes:
        type: the type of every line; detected line by line when not given.
    """

    type: str | None = None


class Text:
    """Lists with comments (`#`, `;`, `//`, `!`, also after the value); of columns the first counts.

    In hosts files (`0.0.0.0 name …`) the names count. Ports are dropped, defanged forms understood.
    """

    name: ClassVar[str] = "text"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("text/plain", ".txt", ".list", ".ioc", ".ipset", ".netset", ".hosts")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[Batch]:
        """See `Format.parse`."""
        reader = self.reader((), options)
        for number, lines in numbered_lines(stream):
            found = reader.read(lines, range(number, number + len(lines)))
            if found.records or found.dropped:
                yield Batch(found.records, found.dropped)

    def reader(self, _head: Sequence[str], options: Mapping[str, Any]) -> "TextReader":
        """See `LineFormat.reader`."""
        return TextReader(read_options(Options, options))


class TextReader:
    """Reads the lines of a list, each by itself."""

    def __init__(self, options: Options) -> None:
        self._kind = type_option(options.type)
        self.layout = str(self._kind)
        self.notes: Sequence[str] = ()

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        found, kind = ReadLines([], [], []), self._kind
        take, place = found.records.append, found.lines.append
        for at, line in enumerate(lines):
            text = line.strip()
            if not text or text.startswith(_COMMENTS):
                continue
            for token in values(text) if kind not in _WHOLE_LINE else (text,):
                try:
                    take(Record(*typed(kind, token)))
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
        names = [name for name in re.split(r"\s#|\s;", f" {columns[1]}", maxsplit=1)[0].split() if not name.isdigit()]
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

"""Tables: comma, semicolon, tab or bar separated, with header names or column numbers."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import columns as layout
from services.feeds.formats import fields
from services.feeds.formats.base import (
    Batch,
    Dropped,
    Note,
    Record,
    batched,
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.reading import numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_SAMPLE = 200
"""Lines looked at to find out delimiter, header and columns."""

Column = str | int


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """Which column says what: a name in the header, or an index from 0.

    Attributes:
        value: the observable; several columns give several observables per row.
        type: the observable's type in the source's words; the other fields are those of `Record`.
    """

    value: Column | list[Column]
    type: Column | None = None
    confidence: Column | None = None
    tags: Column | list[Column] | None = None
    malware: Column | None = None
    first_seen: Column | None = None
    last_seen: Column | None = None
    valid_until: Column | None = None
    description: Column | None = None
    ref: Column | None = None


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a table; what is not given is found out, and said in a note.

    Attributes:
        columns: see `Columns`.
        type: the type of every value; detected value by value when not given.
        comment: what a comment line begins with; empty for none.
        delimiter: one character.
        header: whether the first row (or, before it, a comment) names the columns.
    """

    columns: Columns | None = None
    type: str | None = None
    comment: str = "#"
    delimiter: str | None = None
    header: bool | None = None


class Lines:
    """The lines of a table that are no comments, for `csv.reader`; knows the number of the last one.

    A quote that is never closed makes the reader take up to its field limit (128 KiB) of lines as one row: that row is
    dropped, and the reader goes on behind it.
    """

    def __init__(self, stream: BinaryIO, comment: str) -> None:
        self._numbered = (line for start, lines in numbered_lines(stream) for line in enumerate(lines, start))
        self._comment = comment
        self.number = 0
        self.last_comment = ""

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, line in self._numbered:
            if self._comment and line.lstrip().startswith(self._comment):
                self.last_comment = line if not self.number else self.last_comment
            elif line.strip():
                self.number = number
                yield number, line.replace("\r", "")  # csv takes it for the end of a row


class Csv:
    """Tables, their dialect and columns found out or given. See `Options`."""

    name: ClassVar[str] = "csv"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("text/csv", "text/tab-separated-values", ".csv", ".tsv")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[Batch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also when a named column is missing, or no column holds observables.
        """
        chosen = read_options(Options, options)
        kind = fields.type_option(chosen.type)
        if chosen.delimiter is not None and len(chosen.delimiter) != 1:
            raise InvalidInput("a delimiter is one character", field="options.delimiter")
        return batched(self._items(Lines(stream, chosen.comment), chosen, kind))

    def _items(self, lines: Lines, options: Options, kind: ObservableType | None) -> Iterator[Record | Dropped | Note]:
        source = iter(lines)
        sample = list(islice(source, _SAMPLE))
        if not sample:
            return
        texts = [line for _, line in sample]
        delimiter = options.delimiter or layout.delimiter(texts)
        names, skip = layout.header(
            texts, lines.last_comment.lstrip().lstrip(options.comment), delimiter, options.header
        )
        where = f"line {sample[0][0]}"
        if options.columns is None:
            guess = layout.guess(layout.rows(texts[skip:], delimiter), names, where)
            mapping = msgspec.convert(guess.columns, Columns)
            kind = kind or guess.type
            yield Note(guess.words)
        else:
            mapping = options.columns
        yield from _records(chain(sample[skip:], source), _Row(mapping, names, where, kind), delimiter)


class _Row:
    """Takes rows apart: the mapping with every column resolved to its index."""

    def __init__(self, mapping: Columns, names: list[str], where: str, kind: ObservableType | None) -> None:
        def place(column: Column) -> int:
            return layout.place(column, names, where)

        def places(column: Column | list[Column] | None) -> list[int]:
            listed = column if isinstance(column, list) else [] if column is None else [column]
            return [place(one) for one in listed]

        self.values = places(mapping.value)
        self.tags = places(mapping.tags)
        self.kind = kind
        self.type = None if mapping.type is None else place(mapping.type)
        self.others = [
            (name, place(column), read)
            for name, read in _READERS.items()
            if (column := getattr(mapping, name)) is not None
        ]

    def records(self, row: list[str], number: int) -> Iterator[Record | Dropped]:
        """The row's observables. An empty cell beside a filled one says nothing; a row of empty ones is dropped."""
        cells = [row[at].strip() for at in self.values if at < len(row)]
        filled = [cell for cell in cells if cell] or cells[:1]
        if not filled:
            short = f"the row has {len(row)} columns, the value is in column {self.values[0] + 1}"
            yield Dropped(f"line {number}", cut(",".join(row)), "missing column", short)
        context = self._context(row)
        for cell in filled:
            try:
                kind, value = typed(self._kind(row), cell)
            except NotAnObservable as refusal:
                yield dropped(f"line {number}", cell or ",".join(row), refusal)
            else:
                yield Record(kind, value, **context)

    def _kind(self, row: list[str]) -> ObservableType | None:
        if self.type is None or self.type >= len(row):
            return self.kind
        return fields.TYPES.get(row[self.type].strip().lower(), self.kind)

    def _context(self, row: list[str]) -> dict[str, Any]:
        context: dict[str, Any] = {name: read(row[at]) for name, at, read in self.others if at < len(row)}
        if self.tags:
            context["tags"] = fields.tags(*(row[at] for at in self.tags if at < len(row)))
        return context


_READERS = {
    "confidence": fields.confidence,
    "malware": layout.filled,
    "first_seen": fields.timestamp,
    "last_seen": fields.timestamp,
    "valid_until": fields.timestamp,
    "description": fields.words,
    "ref": fields.words,
}


def _records(numbered: Iterable[tuple[int, str]], row: _Row, delimiter: str) -> Iterator[Record | Dropped]:
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for number, line in numbered:  # noqa: B007 - read by the loop below, for the place of a row
            yield f"{line}\n"

    reader = csv.reader(texts(), delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield Dropped(f"line {number}", "", "malformed row", f"{problem}; is a quote not closed?")
        else:
            if cells:
                yield from row.records(cells, number)

"""Tables: comma, semicolon, tab or bar separated, with header names or column numbers."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import columns as layout
from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    LinesNotIndependent,
    Note,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    batched,
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.streams import numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_SAMPLE = 200
"""Lines looked at to find out delimiter, header and columns."""

Column = str | int


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """Which column says what: a name in the header, or an index from 0.

    Attributes:
        value: the observable; several columns give several observables per row.
        type: the observable's type in the source's words; the other fields are those of `ParsedIndicator`.
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
        types: what the words of the column `type` mean, beyond the usual ones.
        family: malware family of all rows that name none.
        split: column -> what separates several values in one of its cells.
        comment: what a comment line begins with; empty for none.
        delimiter: one character.
        header: whether the first row (or, before it, a comment) names the columns.
    """

    columns: Columns | None = None
    type: str | None = None
    types: dict[str, str] = msgspec.field(default_factory=dict)
    family: str | None = None
    split: dict[str, str] = msgspec.field(default_factory=dict)
    comment: str = "#"
    delimiter: str | None = None
    header: bool | None = None


class CsvFormat:
    """Tables, their dialect and columns found out or given. See `Options`."""

    name: ClassVar[str] = "csv"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("text/csv", "text/tab-separated-values", ".csv", ".tsv")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also when a named column is missing, or no column holds observables.
        """
        chosen = _options(options)
        return batched(self._items(numbered_lines(stream), chosen))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "CsvReader | None":
        """See `LineFormat.reader`."""
        chosen = _options(options)
        return (
            CsvReader(head, chosen)
            if any(_is_data(line, chosen.comment) for line in head)
            else None
        )

    def _items(
        self, blocks: Iterator[tuple[int, list[str]]], options: Options
    ) -> Iterator[ParsedIndicator | DroppedItem | Note]:
        first = next(
            ((start, lines) for start, lines in blocks if any(map(str.strip, lines))), None
        )
        if first is None:
            return
        start, lines = first
        numbered = chain(
            enumerate(lines, start), (one for at, some in blocks for one in enumerate(some, at))
        )
        data = ((number, line) for number, line in numbered if _is_data(line, options.comment))
        begin = next(data, None)
        if begin is None:
            return
        reader = CsvReader(
            lines[:_SAMPLE] if begin[0] < start + _SAMPLE else [begin[1]], options, begin[0]
        )
        yield from map(Note, reader.notes)
        yield from reader.rows(chain([begin], data))


def _options(options: Mapping[str, Any]) -> Options:
    chosen = read_options(Options, options)
    if chosen.delimiter is not None and len(chosen.delimiter) != 1:
        raise InvalidInput("a delimiter is one character", field="options.delimiter")
    for name in chosen.types.values():
        fields.type_option(name, "options.types")
    return chosen


def _is_data(line: str, comment: str) -> bool:
    text = line.strip()
    return bool(text) and not (comment and text.startswith(comment))


class CsvReader:
    """Reads the rows of one table, each by itself.

    Args:
        head: the document's first lines.
        options: of the format.
        number: of the first line that holds data, when it is known.
    """

    def __init__(self, head: Sequence[str], options: Options, number: int | None = None) -> None:
        comment = ""
        sample: list[str] = []
        for at, line in enumerate(head, 1):
            if _is_data(line, options.comment):
                number = number or at
                sample.append(line.replace("\r", ""))
            elif not sample and line.strip():
                comment = line
        delimiter = options.delimiter or layout.delimiter(sample)
        names, skip = layout.header(
            sample, comment.lstrip().lstrip(options.comment), delimiter, options.header
        )
        where = f"line {number}"
        kind, mapping, words = fields.type_option(options.type), options.columns, []
        if mapping is None:
            guess = layout.guess_columns(layout.rows(sample[skip:], delimiter), names, where)
            mapping, kind, words = (
                msgspec.convert(guess.columns, Columns),
                kind or guess.type,
                [guess.words],
            )
        self.notes: Sequence[str] = words
        self.layout = repr((delimiter, names, mapping, kind))
        self._comment = options.comment
        self._delimiter = delimiter
        self._header = number if skip else None
        self._row = _Row(mapping, names, where, kind, options)

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        found = ReadLines([], [], [])
        data = [
            at
            for at, line in enumerate(lines)
            if _is_data(line, self._comment) and numbers[at] != self._header
        ]
        # A quote that is not closed on its own line makes the next line part of it.
        if any(lines[at].count('"') % 2 for at in data):
            raise LinesNotIndependent
        texts = (lines[at].replace("\r", "") for at in data)
        try:
            rows = list(csv.reader(texts, delimiter=self._delimiter, skipinitialspace=True))
        except csv.Error:
            raise LinesNotIndependent from None
        if len(rows) != len(data):
            raise LinesNotIndependent
        for at, cells in zip(data, rows, strict=True):
            for one in self._row.indicators(cells, numbers[at]):
                if isinstance(one, ParsedIndicator):
                    found.indicators.append(one)
                    found.lines.append(at)
                else:
                    found.dropped.append(one)
        return found

    def rows(self, numbered: Iterable[tuple[int, str]]) -> Iterator[ParsedIndicator | DroppedItem]:
        """The observables of rows that may span lines.

        A quote that is never closed makes a row of up to the field limit of `csv` (128 KiB): that row is dropped, and
        reading goes on behind it.
        """
        number = 0

        def texts() -> Iterator[str]:
            nonlocal number
            for number, line in numbered:
                if number != self._header:
                    yield line.replace("\r", "") + "\n"

        reader = csv.reader(texts(), delimiter=self._delimiter, skipinitialspace=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield DroppedItem(
                    f"line {number}", "", "malformed row", f"{problem}; is a quote not closed?"
                )
            else:
                if cells:
                    yield from self._row.indicators(cells, number)


class _Row:
    """Takes rows apart: the mapping with every column resolved to its index."""

    def __init__(
        self,
        mapping: Columns,
        names: list[str],
        where: str,
        kind: ObservableType | None,
        options: Options,
    ) -> None:
        def place(column: Column) -> int:
            return layout.place(column, names, where)

        def places(column: Column | list[Column] | None) -> list[int]:
            listed = column if isinstance(column, list) else [] if column is None else [column]
            return [place(one) for one in listed]

        self.values = places(mapping.value)
        self.tags = places(mapping.tags)
        self.kind = kind
        self.type = None if mapping.type is None else place(mapping.type)
        said = {
            word.strip().lower(): fields.TYPES[name.lower()] for word, name in options.types.items()
        }
        self.types = {**fields.TYPES, **said}
        self.family = options.family
        self.split = {
            place(int(name) if name.isdigit() else name): sign
            for name, sign in options.split.items()
        }
        self.others = [
            (name, place(column), read)
            for name, read in _READERS.items()
            if (column := getattr(mapping, name)) is not None
        ]

    def indicators(self, row: list[str], number: int) -> Iterator[ParsedIndicator | DroppedItem]:
        """The row's observables. An empty cell beside a filled one says nothing; a row of empty ones is dropped."""
        cells = [cell for at in self.values if at < len(row) for cell in self._cells(row, at)]
        filled = [cell for cell in cells if cell] or cells[:1]
        if not filled:
            short = f"the row has {len(row)} columns, the value is in column {self.values[0] + 1}"
            yield DroppedItem(f"line {number}", cut(",".join(row)), "missing column", short)
        context = self._context(row)
        for cell in filled:
            try:
                kind, value = typed(self._kind(row), cell)
            except NotAnObservable as refusal:
                yield dropped(f"line {number}", cell or ",".join(row), refusal)
            else:
                yield ParsedIndicator(kind, value, **context)

    def _cells(self, row: list[str], at: int) -> list[str]:
        sign = self.split.get(at)
        return [row[at].strip()] if sign is None else [cell.strip() for cell in row[at].split(sign)]

    def _kind(self, row: list[str]) -> ObservableType | None:
        if self.type is None or self.type >= len(row):
            return self.kind
        return self.types.get(row[self.type].strip().lower(), self.kind)

    def _context(self, row: list[str]) -> dict[str, Any]:
        context: dict[str, Any] = {
            name: read(row[at]) for name, at, read in self.others if at < len(row)
        }
        if self.tags:
            context["tags"] = fields.tags(
                *(cell for at in self.tags if at < len(row) for cell in self._cells(row, at))
            )
        if self.family and not context.get("malware"):
            context["malware"] = self.family
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

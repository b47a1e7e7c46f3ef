"""Tables: comma, semicolon, tab or bar separated, with named or numbered columns."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields, table_layout
from services.feeds.formats.base import (
    DroppedItem,
    LinesNotIndependent,
    Note,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    batched,
    excerpt,
    read_options,
    refused_item,
    typed_value,
)
from services.feeds.formats.misp_attributes import MispAttribute, attribute_items, tag_names
from services.feeds.formats.streams import numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType

_MISP_COLUMNS = frozenset({"type", "value", "to_ids", "category"})
_SAMPLED_LINES = 200
"""Lines by which delimiter, header and columns are guessed."""

Column = str | int


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """The column of each field: a name in the header, or an index from 0.

    Attributes:
        value: the observable; several columns give several observables per row.
        type: the observable's type in the source's words; the others are fields of
            `ParsedIndicator`.
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


class CsvOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a table. Those that are not set are guessed, and a note says how.

    Attributes:
        columns: see `Columns`.
        type: the type of every value; without it each value's type is detected.
        types: type names in the column `type` beyond the usual ones.
        family: malware family of all rows that name none.
        split: column -> the separator of several values in one of its cells.
        comment: the beginning of a comment line; empty for none.
        delimiter: one character.
        header: whether the first row, or a comment before it, names the columns.
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
    """Tables whose dialect and columns are guessed or set. See `CsvOptions`.

    An export of MISP attributes, known by its columns `type`, `value` and `to_ids`, is read as MISP
    means it: types are binding, and what is not meant for detection is left out.
    """

    name: ClassVar[str] = "csv"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("text/csv", "text/tab-separated-values", ".csv", ".tsv")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also if a named column is missing, or no column holds observables.
        """
        csv_options = _read_options(options)
        return batched(_items(numbered_lines(stream), csv_options))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "CsvReader | None":
        """See `LineFormat.reader`. Without a row in the head nothing is known of the columns."""
        csv_options = _read_options(options)
        if not any(_is_data(line, csv_options.comment) for line in head):
            return None
        return CsvReader(head, csv_options)


def _read_options(options: Mapping[str, Any]) -> CsvOptions:
    csv_options = read_options(CsvOptions, options)
    if csv_options.delimiter is not None and len(csv_options.delimiter) != 1:
        raise InvalidInput("a delimiter is one character", field="options.delimiter")
    fields.types_option(csv_options.types)
    return csv_options


def _items(
    blocks: Iterator[tuple[int, list[str]]], options: CsvOptions
) -> Iterator[ParsedIndicator | DroppedItem | Note]:
    # The first block that is not empty gives the sample for the layout.
    first = next(((start, lines) for start, lines in blocks if any(map(str.strip, lines))), None)
    if first is None:
        return
    start, lines = first
    rest = (numbered for at, block in blocks for numbered in enumerate(block, at))
    numbered_data = (
        (number, line)
        for number, line in chain(enumerate(lines, start), rest)
        if _is_data(line, options.comment)
    )
    row = next(numbered_data, None)
    if row is None:
        return
    number, line = row
    # A table behind a long preface is judged by its first row alone.
    head = lines[:_SAMPLED_LINES] if number < start + _SAMPLED_LINES else [line]
    reader = CsvReader(head, options, number)
    yield from map(Note, reader.notes)
    yield from reader.indicators(chain([row], numbered_data))


def _is_data(line: str, comment: str) -> bool:
    text = line.strip()
    return bool(text) and not (comment and text.startswith(comment))


class CsvReader:
    """Reads the rows of one table.

    Args:
        head: the document's first lines.
        options: of the format.
        number: of the first line that holds data, if it is known.
    """

    def __init__(self, head: Sequence[str], options: CsvOptions, number: int | None = None) -> None:
        comment = ""
        sample: list[str] = []
        for at, line in enumerate(head, 1):
            if _is_data(line, options.comment):
                number = number or at
                sample.append(line.replace("\r", ""))
            elif not sample and line.strip():
                comment = line
        delimiter = options.delimiter or table_layout.guess_delimiter(sample)
        names, header_lines = table_layout.header(
            sample,
            comment.lstrip().lstrip(options.comment),
            delimiter,
            has_header=options.header,
        )
        where = f"line {number}"
        kind = fields.type_option(options.type)
        mapping = options.columns
        notes: list[str] = []
        row_reader: _RowReader | _MispRowReader | None = None
        if mapping is None and kind is None and set(map(str.lower, names)) >= _MISP_COLUMNS:
            notes.append("a table of MISP attributes, read by their types; to_ids 0 is left out")
            row_reader = _MispRowReader(names)
            mapping = Columns(value="value")
        if mapping is None:
            table = table_layout.rows(sample[header_lines:], delimiter)
            guess = table_layout.guess_columns(table, names, where)
            mapping = msgspec.convert(guess.columns, Columns)
            kind = kind or guess.type
            notes.append(guess.note)
        self.notes: Sequence[str] = notes
        self.layout = repr((delimiter, names, mapping, kind))
        self._comment = options.comment
        self._delimiter = delimiter
        self._header = number if header_lines else None
        self._row = row_reader or _RowReader(mapping, names, where, kind, options)

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        result = ReadLines([], [], [])
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
        for at, row in zip(data, rows, strict=True):
            for item in self._row.indicators(row, numbers[at]):
                if isinstance(item, ParsedIndicator):
                    result.indicators.append(item)
                    result.lines.append(at)
                else:
                    result.dropped.append(item)
        return result

    def indicators(
        self, numbered_lines: Iterable[tuple[int, str]]
    ) -> Iterator[ParsedIndicator | DroppedItem]:
        """The indicators of rows that may span lines.

        A quote that is never closed makes a row of up to the field limit of `csv` (128 KiB). That
        row is dropped, and reading goes on behind it.
        """
        number = 0

        def texts() -> Iterator[str]:
            nonlocal number
            for number, line in numbered_lines:
                if number != self._header:
                    yield line.replace("\r", "") + "\n"

        reader = csv.reader(texts(), delimiter=self._delimiter, skipinitialspace=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield DroppedItem(
                    f"line {number}", "", "malformed row", f"{problem}; is a quote not closed?"
                )
            else:
                if row:
                    yield from self._row.indicators(row, number)


class _MispRowReader:
    """Reads the rows of an export of MISP attributes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._at = {name.lower(): at for at, name in enumerate(names)}

    def indicators(self, row: list[str], number: int) -> Iterator[ParsedIndicator | DroppedItem]:
        """The observables of the row's attribute."""
        cells = {name: row[at].strip() for name, at in self._at.items() if at < len(row)}
        if not cells.get("value"):
            yield DroppedItem(f"line {number}", excerpt(",".join(row)), "empty")
            return
        attribute = MispAttribute(
            type=cells.get("type", ""),
            value=cells["value"],
            to_ids=cells.get("to_ids", "0").lower(),
            uuid=cells.get("uuid"),
            comment=cells.get("comment"),
            first_seen=cells.get("first_seen"),
            last_seen=cells.get("last_seen"),
        )
        event_tags = [{"name": tag} for tag in fields.tags(cells.get("attribute_tag"))]
        yield from attribute_items(f"line {number}", attribute, tag_names(event_tags))


class _RowReader:
    """Takes rows apart by a mapping whose columns are resolved to their indices."""

    def __init__(
        self,
        mapping: Columns,
        names: list[str],
        where: str,
        kind: ObservableType | None,
        options: CsvOptions,
    ) -> None:
        def index(column: Column) -> int:
            return table_layout.column_index(column, names, where)

        def indices(columns: Column | list[Column] | None) -> list[int]:
            if columns is None:
                return []
            return [index(column) for column in _as_list(columns)]

        self._values = indices(mapping.value)
        self._tags = indices(mapping.tags)
        self._kind = kind
        self._type = None if mapping.type is None else index(mapping.type)
        self._types = fields.types_option(options.types)
        self._family = options.family
        self._separators = {
            index(int(column) if column.isdigit() else column): separator
            for column, separator in options.split.items()
        }
        self._context_columns = [
            (name, index(column), read_field)
            for name, read_field in _FIELD_READERS.items()
            if (column := getattr(mapping, name)) is not None
        ]

    def indicators(self, row: list[str], number: int) -> Iterator[ParsedIndicator | DroppedItem]:
        """The row's indicators. Empty cells count only if all cells of values are empty."""
        cells = [cell for at in self._values if at < len(row) for cell in self._cells(row, at)]
        filled = [cell for cell in cells if cell] or cells[:1]
        if not filled:
            short = f"the row has {len(row)} columns, the value is in column {self._values[0] + 1}"
            yield DroppedItem(f"line {number}", excerpt(",".join(row)), "missing column", short)
        context = self._context(row)
        for cell in filled:
            try:
                kind, value = typed_value(self._kind_of(row), cell)
            except NotAnObservable as refusal:
                yield refused_item(f"line {number}", cell or ",".join(row), refusal)
            else:
                yield ParsedIndicator(kind, value, **context)

    def _cells(self, row: list[str], at: int) -> list[str]:
        separator = self._separators.get(at)
        if separator is None:
            return [row[at].strip()]
        return [cell.strip() for cell in row[at].split(separator)]

    def _kind_of(self, row: list[str]) -> ObservableType | None:
        if self._type is None or self._type >= len(row):
            return self._kind
        return self._types.get(row[self._type].strip().lower(), self._kind)

    def _context(self, row: list[str]) -> dict[str, Any]:
        context: dict[str, Any] = {
            name: read_field(row[at])
            for name, at, read_field in self._context_columns
            if at < len(row)
        }
        if self._tags:
            context["tags"] = fields.tags(
                *(cell for at in self._tags if at < len(row) for cell in self._cells(row, at))
            )
        if self._family and not context.get("malware"):
            context["malware"] = self._family
        return context


def _as_list(columns: Column | list[Column]) -> list[Column]:
    return columns if isinstance(columns, list) else [columns]


_FIELD_READERS = {
    "confidence": fields.confidence,
    "malware": table_layout.name_or_none,
    "first_seen": fields.timestamp,
    "last_seen": fields.timestamp,
    "valid_until": fields.timestamp,
    "description": fields.short_text,
    "ref": fields.short_text,
}

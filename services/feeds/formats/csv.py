"""Tables: comma, semicolon, tab or bar separated, with named or numbered columns."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, takewhile
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
    count_unit,
    counted,
    keep_options,
    read_options,
)
from services.feeds.formats.fixed_width import column_starts, in_tabs
from services.feeds.formats.streams import numbered_lines
from services.feeds.formats.table_columns import (
    declared_columns,
    guess_columns,
)
from services.feeds.formats.table_preface import preface_length
from services.feeds.formats.table_rows import (
    Columns,
    MispRowReader,
    RowOptions,
    RowReader,
    with_described,
)
from services.feeds.formats.type_words import as_types
from services.feeds.formats.unit_account import UnitAccount, account_of_lines
from shared.errors import InvalidInput

_MISP_COLUMNS = frozenset({"type", "value", "to_ids", "category"})
_SAMPLED_LINES = 200
"""Lines by which delimiter, header and columns are guessed."""

_SAMPLED_ROWS = 50
_MAX_ROW_LINES = 200
_MAX_ROW_LENGTH = 128 * 1024
"""Lines and characters of a row; beyond them a quote counts as not closed."""

_PREFACE = "line above the header"
_ZEEK_FIELDS = "#fields\t"
"""Begins the comment that names the columns in files of Zeek; another one names their types."""


class CsvOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a table. Those that are not set are guessed, and a note says how.

    Attributes:
        columns: see `Columns`. Where `value` is given alone, the columns that describe it are
            guessed by their names.
        type: the type of every value; without it each value's type is detected.
        types: type names in the column `type` beyond the usual ones.
        family: malware family of all rows that name none.
        split: column -> the separator of several values in one of its cells.
        comment: the beginning of a comment line; empty for none. Rows that begin with their number
            (`#1,…`) and hold an observable are none.
        delimiter: one character.
        header: whether the first row, or a comment before it, names the columns.
        skip: the number of lines above the header that are passed over, such as a title.
        starts: of text in columns of fixed width the places, from 0, where the columns begin.
    """

    columns: Columns | None = None
    type: str | None = None
    types: dict[str, str] = msgspec.field(default_factory=dict)
    family: str | None = None
    split: dict[str, str] = msgspec.field(default_factory=dict)
    comment: str = "#"
    delimiter: str | None = None
    header: bool | None = None
    skip: int | None = None
    starts: list[int] | None = None


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
        notes: list[str] = []
        account = UnitAccount("line")
        items = _items(numbered_lines(stream, notes), csv_options, account)
        # The notes are complete, and so is the account, when the items have ended.
        return batched(chain(items, map(Note, notes), [account]))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "CsvReader | None":
        """See `LineFormat.reader`. Without a row in the head nothing is known of the columns."""
        csv_options = _read_options(options)
        if not any(
            table_layout.is_data(line, csv_options.comment)
            for line in head[csv_options.skip or 0 :]
        ):
            return None
        return CsvReader(head, csv_options)


def _read_options(options: Mapping[str, Any]) -> CsvOptions:
    csv_options = read_options(CsvOptions, options)
    if csv_options.delimiter is not None and len(csv_options.delimiter) != 1:
        raise InvalidInput("a delimiter is one character", field="options.delimiter")
    if csv_options.skip is not None and csv_options.skip < 0:
        raise InvalidInput("a number of lines is not negative", field="options.skip")
    fields.types_option(csv_options.types)
    return csv_options


def _items(
    blocks: Iterator[tuple[int, list[str]]], options: CsvOptions, account: UnitAccount
) -> Iterator[ParsedIndicator | DroppedItem | Note]:
    # The first block that is not empty gives the sample for the layout.
    empty: list[tuple[int, list[str]]] = []
    first = next(_filled_blocks(blocks, empty), None)
    if first is None:
        deque(_numbered_data(iter(empty), options.comment, account), maxlen=0)
        return
    start, lines = first
    numbered_data = _numbered_data(chain(empty, [first], blocks), options.comment, account)
    row = _first_row(numbered_data, options.skip or 0, account)
    if row is None:
        return
    number, line = row
    ahead: list[tuple[int, str]] = []
    # Lines that are skipped take no place in the sample.
    head = lines[: (options.skip or 0) + _SAMPLED_LINES]
    if number >= start + len(head):
        ahead = list(islice(numbered_data, _SAMPLED_LINES))
        neighbours = takewhile(lambda row: row[1][0] == number + row[0], enumerate(ahead, 1))
        head = [line, *(text for _, (_, text) in neighbours)]
        start = number
    reader = CsvReader(head, options, start)
    yield from map(Note, reader.notes)
    yield from reader.indicators(chain([row], ahead, numbered_data), account)


def _first_row(
    numbered_data: Iterator[tuple[int, str]], skip: int, account: UnitAccount
) -> tuple[int, str] | None:
    """The first line behind those that are passed over; None if there is none."""
    for number, line in numbered_data:
        if number > skip:
            return number, line
        account.count_context(_PREFACE)
    return None


def _filled_blocks(
    blocks: Iterable[tuple[int, list[str]]], empty: list[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    """The blocks with a line that is not blank; the others are added to `empty`."""
    for start, lines in blocks:
        if any(map(str.strip, lines)):
            yield start, lines
        else:
            empty.append((start, lines))


def _numbered_data(
    blocks: Iterable[tuple[int, list[str]]], comment: str, account: UnitAccount
) -> Iterator[tuple[int, str]]:
    """The lines that hold data, with their numbers; the account has the others."""
    for start, lines in blocks:
        account.total += len(lines)
        for number, line in enumerate(lines, start):
            if table_layout.is_data(line, comment):
                yield number, line
            else:
                account.count_context("comment" if line.strip() else "blank")


def _guess_starts(
    sample: Sequence[str], options: CsvOptions, delimiter: str, notes: list[str]
) -> list[int]:
    """The places where columns of fixed width begin, if no delimiter is given or fits."""
    if options.delimiter is not None or table_layout.is_delimited(list(sample), delimiter):
        return []
    starts = column_starts(sample)
    if starts:
        notes.append(f"read as columns of fixed width (option `starts`: {starts})")
    return starts


def _pass_preface(sample: list[str], numbers: list[int], delimiter: str, notes: list[str]) -> int:
    """Take the lines above a table away; how many lines of the document that are."""
    above = preface_length(sample, delimiter)
    if not above:
        return 0
    skipped = numbers[above] - 1
    del sample[:above]
    del numbers[:above]
    if skipped:
        notes.append(
            f"what stands above line {numbers[0]} is no part of the table and is passed over "
            f"(`--option skip={skipped}`)"
        )
    return skipped


def _divided_head(
    head: Sequence[str], comment: str, start: int, skip: int
) -> tuple[str, list[str], list[int]]:
    """The comment that may name the columns, the lines with data, and the numbers of these.

    Args:
        head: the first lines.
        comment: the beginning of a comment line.
        start: the number of the first line.
        skip: the number of the last line that is passed over.
    """
    names = ""
    sample: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(head, start):
        if number <= skip:
            continue
        if table_layout.is_data(line, comment):
            sample.append(line.replace("\r", ""))
            numbers.append(number)
        elif not sample and line.strip() and not names.startswith(_ZEEK_FIELDS):
            names = line
    return names, sample, numbers


class CsvReader:
    """Reads the rows of one table.

    Args:
        head: the document's first lines.
        options: of the format.
        start: number of the first of these lines.

    Attributes:
        header: number of the line that names the columns, if one does.
        skipped: number of the last line above the header that is passed over; 0 if there is none.
    """

    def __init__(self, head: Sequence[str], options: CsvOptions, start: int = 1) -> None:
        notes: list[str] = []
        self.skipped = options.skip or 0
        comment, sample, numbers = _divided_head(head, options.comment, start, self.skipped)
        delimiter = options.delimiter or table_layout.guess_delimiter(sample)
        self._starts = options.starts or _guess_starts(sample, options, delimiter, notes)
        if self._starts:
            delimiter = "\t"
            sample = [in_tabs(line, self._starts) for line in sample]
        if options.skip is None and options.header is not False:
            self.skipped = _pass_preface(sample, numbers, delimiter, notes)
        number = numbers[0] if numbers else start
        names, header_lines = table_layout.header(
            sample,
            comment.lstrip().lstrip(options.comment),
            delimiter,
            has_header=options.header,
        )
        where = f"line {number}"
        kind = fields.type_option(options.type)
        mapping = options.columns
        kinds = {} if kind is not None else declared_columns(names)
        row_reader: MispRowReader | None = None
        if mapping is None and kind is None and set(map(str.lower, names)) >= _MISP_COLUMNS:
            notes.append("a table of MISP attributes, read by their types; to_ids 0 is left out")
            row_reader = MispRowReader(names)
            mapping = Columns(value="value")
        table = table_layout.rows(sample[header_lines:], delimiter)
        if mapping is None:
            with keep_options(options):
                guess = guess_columns(table, names, where)
            mapping = msgspec.convert(guess.columns, Columns)
            kinds = {} if kind is not None else guess.kinds
            notes += guess.notes
        elif row_reader is None:
            mapping = with_described(mapping, table, names, where, notes)
        self.notes: Sequence[str] = notes
        self._comment = options.comment
        self._delimiter = delimiter
        self.header = number if header_lines else None
        width = table_layout.usual_width(sample, names, delimiter)
        declared = {at: sorted(as_types(kinds[at])) for at in sorted(kinds)}
        self.layout = repr((delimiter, self._starts, names, mapping, kind, declared, width))
        row_options = RowOptions(
            options.types,
            options.family,
            options.split,
            width,
            refuses_wide_networks=options.columns is None,
        )
        self._row: RowReader | MispRowReader
        if row_reader is None:
            self._row = RowReader(mapping, names, where, kind, row_options, kinds)
            notes += self._row.unread_times(table[:_SAMPLED_ROWS], names)
        else:
            self._row = row_reader

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        result = ReadLines([], [], [])
        reasons: list[tuple[int, str]] = []
        data = [
            at
            for at, line in enumerate(lines)
            if numbers[at] > self.skipped
            and table_layout.is_data(line, self._comment)
            and numbers[at] != self.header
        ]
        texts = [lines[at].replace("\r", "") for at in data]
        if self._starts:
            texts = [in_tabs(text, self._starts) for text in texts]
        # A quote that is not closed on its own line makes the next line part of it.
        if any(text.count('"') % 2 for text in texts):
            raise LinesNotIndependent
        texts = [table_layout.plain_text(text) if '="' in text else text for text in texts]
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
                    reasons.append((at, item.reason))
        context = self._context_lines(lines, numbers, len(data))
        account = account_of_lines(len(lines), result.lines, reasons, context)
        return result._replace(account=account, dropped_lines=[at for at, _ in reasons])

    def _context_lines(
        self, lines: Sequence[str], numbers: Sequence[int], data: int
    ) -> Mapping[str, int]:
        """The lines without data by kind, of which the blank ones and the header are counted.

        Args:
            lines: all lines.
            numbers: theirs.
            data: how many of them hold data.
        """
        if data == len(lines):
            return {}
        blank = len(lines) - sum(map(bool, map(str.strip, lines)))
        header = int(self.header is not None and self.header in numbers)
        preface = sum(
            number <= self.skipped and table_layout.is_data(line, self._comment)
            for line, number in zip(lines, numbers, strict=True)
        )
        comments = len(lines) - data - blank - header - preface
        return {"blank": blank, "header": header, _PREFACE: preface, "comment": comments}

    def indicators(
        self, numbered_lines: Iterable[tuple[int, str]], account: UnitAccount
    ) -> Iterator[ParsedIndicator | DroppedItem | Note]:
        """The indicators of rows that may span lines.

        A row whose quote is not closed within `_MAX_ROW_LINES` lines is read by its first line
        alone, and reading goes on behind that.
        """
        lines = deque[tuple[int, str]]()
        rest = iter(numbered_lines)
        above = max(self.skipped, self.header or 0)
        while True:
            row = lines.popleft() if lines else next(rest, None)
            if row is None:
                return
            number, line = row
            if number <= above:
                account.count_context("header" if number == self.header else _PREFACE)
                continue
            if self._starts:
                line = in_tabs(line, self._starts)
            if '"' not in line:
                items = self._row.indicators(self._cells(line), number)
                count_unit(items, account)
                yield from items
                continue
            texts = [line]
            last = number
            if line.count('"') % 2:
                texts, last = self._open_row(number, line, lines, rest)
            yield from counted(self._row_indicators(texts, last), account, len(texts))
            if len(texts) == 1 and line.count('"') % 2:
                yield Note(f"line {number} opens a quote that is not closed; it was read by itself")

    def _cells(self, line: str) -> list[str]:
        """The cells of a row without quotes: what `csv` makes of it, in a third of the time."""
        line = line.replace("\r", "")
        if self._delimiter == " ":
            return next(csv.reader([line], delimiter=" ", skipinitialspace=True), [])
        return [cell.lstrip(" ") for cell in line.split(self._delimiter)]

    def _open_row(
        self, number: int, line: str, lines: deque[tuple[int, str]], rest: Iterator[tuple[int, str]]
    ) -> tuple[list[str], int]:
        """The lines of a row whose first line leaves a quote open, and the number of the last."""
        # Lines that were read ahead stay in `lines` until the row turns out to be closed.
        size = len(line)
        for ahead in range(_MAX_ROW_LINES):
            if ahead == len(lines):
                following = next(rest, None)
                if following is None:
                    break
                lines.append(following)
            size += len(lines[ahead][1])
            if size > _MAX_ROW_LENGTH:
                break
            if lines[ahead][1].count('"') % 2:
                row = [lines.popleft() for _ in range(ahead + 1)]
                return [line, *(text for _, text in row)], row[-1][0]
        return [line], number

    def _row_indicators(
        self, texts: list[str], number: int
    ) -> Iterator[ParsedIndicator | DroppedItem]:
        source = [table_layout.plain_text(text.replace("\r", "")) + "\n" for text in texts]
        reader = csv.reader(source, delimiter=self._delimiter, skipinitialspace=True)
        try:
            rows = [row for row in reader if row]
        except csv.Error as problem:
            yield DroppedItem(
                f"line {number}", "", "malformed row", f"{problem}; is a quote not closed?"
            )
            return
        for row in rows:
            yield from self._row.indicators(row, number)

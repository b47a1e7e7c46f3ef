"""Spreadsheets: Excel's and OpenDocument's. A sheet is read like a table in CSV."""

import csv
import io
import re
import shlex
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple

from python_calamine import CalamineError, CalamineWorkbook

from services.feeds.formats.base import (
    AmbiguousDocument,
    MalformedDocument,
    Note,
    ParsedBatch,
    batched,
    read_options,
)
from services.feeds.formats.csv import CsvFormat, CsvOptions
from services.feeds.formats.fields import type_of
from services.feeds.formats.prose import read_binary_document
from services.feeds.formats.unit_account import UnitAccount
from shared.errors import InvalidInput

_BROKEN_ARCHIVES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,  # it is encrypted
    ValueError,
    OSError,
)
_MAX_EXPANDED: Final = 256 * 1024 * 1024
_MAX_MEMBERS: Final = 10_000
_MAX_RATIO: Final = 200
_MAX_EMPTY: Final = 20
"""Cells of a sheet's area for each that is filled; the library allocates the whole area."""
_SMALL_AREA: Final = 1 << 20
_PLACE: Final = re.compile(rb"""\sr\s{0,9}=\s{0,9}["']([A-Za-z]{0,3})([0-9]{1,10})["']""")
_DELIMITER: Final = "\t"
_ALL: Final = "*"
"""Stands for all sheets; Excel and OpenDocument allow no name with it."""

_SAMPLED_ROWS: Final = 100
_SAMPLED_CELLS: Final = 100
_MAX_NAMED: Final = 10
_BLANKS: Final = str.maketrans("\r\n\t", "   ")


class SpreadsheetOptions(CsvOptions, forbid_unknown_fields=True):
    """Options of a spreadsheet: those of a table, and its sheet.

    Attributes:
        sheet: the sheet's name; `*` for all sheets, each a table of its own.
    """

    sheet: str | None = None


class SpreadsheetFormat:
    """XLSX, XLSB, XLS and ODS: one sheet, whose cells are read as those of a table.

    The options are those of `csv`, and `sheet`: the sheet's name, or `*` for all. Without it the
    sheet with most rows of those that hold observables is read, and a note names the others.
    Formulas count by the value that was stored with them.
    """

    name: ClassVar[str] = "spreadsheet"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.ms-excel",
        ".xlsx",
        ".xlsb",
        ".xls",
        ".ods",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        table_options = dict(options)
        sheet = read_options(SpreadsheetOptions, options).sheet
        table_options.pop("sheet", None)
        # It is checked before the sheet is read: a wrong option is no fault of the document.
        for _ in CsvFormat().parse(io.BytesIO(), table_options):
            pass
        data = read_binary_document(stream)
        if data.startswith(b"PK"):
            _refuse_bomb(data)
        with _broken_documents_refused():
            workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
            chosen, others = _chosen_sheets(workbook, sheet)
        count = sum(len(other.rows) for other in others)
        account = UnitAccount("row", count)
        account.count_context("row of another sheet", count)
        notes = [Note(f"sheet {read.name!r}: {len(read.rows)} rows") for read in chosen]
        yield from batched([*notes, *map(Note, _notes_on_others(others)), account])
        table_options["delimiter"] = _DELIMITER
        for read in chosen:
            try:
                yield from self._batches(read, table_options, is_only=len(chosen + others) == 1)
            except AmbiguousDocument:
                raise
            except MalformedDocument as problem:
                if len(chosen) == 1:
                    raise
                account = UnitAccount("row", len(read.rows))
                account.count_context("row of a sheet without observables", len(read.rows))
                yield from batched([Note(f"sheet {read.name!r}: {problem.message}"), account])

    def _batches(
        self, sheet: "Sheet", options: Mapping[str, Any], *, is_only: bool
    ) -> Iterator[ParsedBatch]:
        """What a sheet gives."""
        try:
            for batch in CsvFormat().parse(_as_csv(sheet.rows), options):
                if batch.account is not None:
                    batch.account.unit = "row"
                yield batch
        except AmbiguousDocument as doubt:
            place = {} if is_only else {"sheet": sheet.name}
            alternatives = [
                {"format": self.name, "options": {**place, **choice["options"]}}
                for choice in doubt.alternatives
            ]
            message = doubt.message.removeprefix(f"{doubt.where}: ")
            raise AmbiguousDocument(message, doubt.where, alternatives) from None


@contextmanager
def _broken_documents_refused() -> Iterator[None]:
    try:
        yield
    except (CalamineError, OSError, zipfile.BadZipFile) as problem:
        raise MalformedDocument(f"this is no spreadsheet, or a broken one: {problem}") from None
    except BaseException as problem:
        # A panic of the library's Rust code: its class cannot be imported, and is no `Exception`.
        if type(problem).__name__ != "PanicException":
            raise
        raise MalformedDocument("this is no spreadsheet, or a broken one") from None


def _refuse_bomb(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _refuse_too_large(data, members)
            if any(map(_is_sparse, map(archive.read, members))):
                raise MalformedDocument("the spreadsheet has a sheet that is nearly empty and huge")
    except _BROKEN_ARCHIVES as problem:
        raise MalformedDocument(f"this is no spreadsheet, or a broken one: {problem}") from None


def _is_sparse(sheet: bytes) -> bool:
    """Whether a part is a sheet of XLSX with cells so far apart that its area fills the memory."""
    if b"sheetData" not in sheet:
        return False
    cells = 0
    width = 1
    height = 1
    for place in _PLACE.finditer(sheet):
        cells += 1
        column = 0
        for letter in place[1].upper():
            column = column * 26 + letter - 64
        width = max(width, column)
        height = max(height, int(place[2]))
    return width * height > max(_SMALL_AREA, _MAX_EMPTY * cells)


def _refuse_too_large(data: bytes, members: Sequence[zipfile.ZipInfo]) -> None:
    expanded = sum(member.file_size for member in members)
    limit = min(_MAX_EXPANDED, max(1 << 20, _MAX_RATIO * len(data)))
    if len(members) > _MAX_MEMBERS or expanded > limit:
        raise MalformedDocument("the spreadsheet expands to more than a feed may have")


class Sheet(NamedTuple):
    """A sheet of a workbook.

    Attributes:
        name: its name.
        rows: its rows.
        holds_observables: whether one of the first rows holds one.
    """

    name: str
    rows: list[list[Any]]
    holds_observables: bool


def _chosen_sheets(workbook: CalamineWorkbook, name: str | None) -> tuple[list[Sheet], list[Sheet]]:
    """The sheets that are read, and the others.

    Raises:
        InvalidInput: there is no sheet of that name.
        MalformedDocument: there is no sheet.
    """
    names = workbook.sheet_names
    if name not in (None, _ALL, *names):
        listed = ", ".join(names[:20])
        raise InvalidInput(
            f"There is no sheet {name!r}; there are {listed}.", field="options.sheet"
        )
    sheets = [_sheet(workbook, candidate) for candidate in names]
    if not sheets:
        raise MalformedDocument("the spreadsheet has no sheet")
    telling = [sheet for sheet in sheets if sheet.holds_observables] or sheets
    if name == _ALL:
        chosen = telling
    elif name is None:
        chosen = [max(telling, key=lambda sheet: len(sheet.rows))]
    else:
        chosen = [sheet for sheet in sheets if sheet.name == name]
    read = {sheet.name for sheet in chosen}
    return chosen, [sheet for sheet in sheets if sheet.name not in read]


def _sheet(workbook: CalamineWorkbook, name: str) -> Sheet:
    rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
    head = (cell for row in rows[:_SAMPLED_ROWS] for cell in row[:_SAMPLED_CELLS])
    holds_observables = any(isinstance(cell, str) and type_of(cell) for cell in head)
    return Sheet(name, rows, holds_observables)


def _notes_on_others(others: Sequence[Sheet]) -> list[str]:
    """A note on the sheets that are not read."""
    filled = [sheet for sheet in others if sheet.rows]
    if not filled:
        return []
    labels = ", ".join(f"{sheet.name!r} ({len(sheet.rows)} rows)" for sheet in filled[:_MAX_NAMED])
    more = f" and {len(filled) - _MAX_NAMED} more" if len(filled) > _MAX_NAMED else ""
    option = shlex.quote(f"sheet={filled[0].name}")
    note = (
        f"other sheets are not read: {labels}{more}; `--option {option}` reads another one, "
        "`--option 'sheet=*'` all that hold observables"
    )
    return [note]


def _as_csv(rows: list[list[Any]]) -> io.BytesIO:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=_DELIMITER, lineterminator="\n")
    writer.writerows(map(_texts, rows))
    return io.BytesIO(sink.getvalue().encode("utf-8", "replace"))


def _texts(row: list[Any]) -> list[str]:
    return [_text(cell) for cell in row]


def _text(cell: Any) -> str:
    """A cell as a table in text has it: whole numbers without a point, times in ISO 8601."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).translate(_BLANKS)

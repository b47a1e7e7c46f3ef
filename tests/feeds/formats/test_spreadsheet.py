"""Spreadsheets."""

import io
import zipfile

import pytest
from openpyxl import Workbook

from services.feeds.formats import MalformedDocument, guess_format
from services.feeds.formats.spreadsheet import SpreadsheetFormat
from services.feeds.payloads.unpack import unpack
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse

ROWS = [
    ("ip", "count", "comment"),
    ("192.0.2.1", 5, "two\nlines"),
    ("192.0.2.2", 7.5, None),
    ("nonsense", 1, "tab\there"),
]


MANIFEST = """<?xml version="1.0"?>
<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">
<manifest:file-entry manifest:full-path="/"
 manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>"""


def workbook(**sheets: list[tuple[object, ...]]) -> bytes:
    """An XLSX document."""
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def opendocument() -> bytes:
    """An ODS document of one cell a row."""
    cells = "".join(
        f"<table:table-row><table:table-cell office:value-type='string'><text:p>{value}</text:p>"
        "</table:table-cell></table:table-row>"
        for value in ("ip", "192.0.2.1", "192.0.2.2")
    )
    names = " ".join(
        f"xmlns:{name}='urn:oasis:names:tc:opendocument:xmlns:{name}:1.0'"
        for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content {names}><office:body><office:spreadsheet>"
        f"<table:table table:name='A'>{cells}</table:table>"
        "</office:spreadsheet></office:body></office:document-content>"
    )
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
    return sink.getvalue()


class TestSpreadsheet(FormatContract):
    format = SpreadsheetFormat()
    samples = (workbook(list=ROWS[:3]), opendocument())
    is_text = False

    def test_a_byte_order_mark_changes_nothing(self):
        """A spreadsheet is no text."""

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04abc", b"192.0.2.1", b"\xd0\xcf\x11\xe0x"])
    def test_what_is_no_text_is_said_to_be_what_it_is(self, data):
        with pytest.raises(MalformedDocument, match=r"spreadsheet|empty"):
            parse(self.format, data)


def test_a_sheet_is_a_table():
    whole = parse(SpreadsheetFormat(), workbook(list=ROWS))
    assert pairs(whole) == [("ipv4-addr", "192.0.2.1"), ("ipv4-addr", "192.0.2.2")]
    assert drops(whole) == [("line 4", "single label")]
    assert whole.notes[0] == "sheet 'list': 4 rows"


def test_the_options_are_those_of_a_table_and_the_sheet():
    data = workbook(readme=[("about",)], a=ROWS, b=[("ip",), ("198.51.100.1",)])
    whole = parse(SpreadsheetFormat(), data, sheet="a", columns={"value": "ip", "description": 2})
    assert whole.indicators[0].description == "two lines"
    assert pairs(parse(SpreadsheetFormat(), data, sheet="b")) == [("ipv4-addr", "198.51.100.1")]
    years = workbook(**{"2025": ROWS, "2026": [("ip",), ("198.51.100.1",)]})
    assert pairs(parse(SpreadsheetFormat(), years, sheet=2026)) == [("ipv4-addr", "198.51.100.1")]
    with pytest.raises(InvalidInput, match="There is no sheet 'c'; there are readme, a, b"):
        parse(SpreadsheetFormat(), data, sheet="c")


def test_a_bomb_is_refused():
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("xl/workbook.xml", b"\0" * 80_000_000)
    with pytest.raises(MalformedDocument, match="expands to more"):
        parse(SpreadsheetFormat(), sink.getvalue())


def test_a_sheet_whose_area_does_not_fit_into_memory_is_refused():
    book = Workbook()
    book.active["A1"] = "192.0.2.1"
    book.active["XFD1048576"] = "192.0.2.2"
    file = io.BytesIO()
    book.save(file)
    with pytest.raises(MalformedDocument, match="nearly empty"):
        parse(SpreadsheetFormat(), file.getvalue())


@pytest.mark.parametrize("document", [workbook(list=ROWS), opendocument()])
def test_it_is_unpacked_as_it_is_and_guessed(document):
    sink = io.BytesIO()
    assert unpack(io.BytesIO(document), sink).wrapping == ()
    assert sink.getvalue() == document
    assert guess_format("upload", document)[0] == "spreadsheet"


def test_a_spreadsheet_within_an_archive_is_unpacked_once():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("list.xlsx", workbook(list=ROWS))
    sink = io.BytesIO()
    packed.seek(0)
    assert unpack(packed, sink).wrapping == ("zip",)
    assert sink.getvalue() == workbook(list=ROWS) or guess_format("x", sink.getvalue())[0] == (
        "spreadsheet"
    )


def test_other_sheets_are_named_and_can_be_read():
    """At 929fb88 the rows of other sheets were lost without a word."""
    data = workbook(
        Cover=[("a report",)] * 9,
        IPs=[("ip",), ("192.0.2.1",), ("192.0.2.2",)],
        Names=[("domain",), ("evil.example.com",)],
    )
    whole = parse(SpreadsheetFormat(), data)
    assert [value for _, value in pairs(whole)] == ["192.0.2.1", "192.0.2.2"]
    (note,) = [note for note in whole.notes if "other sheets" in note]
    assert "'Cover' (9 rows), 'Names' (2 rows)" in note
    all_sheets = parse(SpreadsheetFormat(), data, sheet="*")
    assert [value for _, value in pairs(all_sheets)] == [
        "192.0.2.1",
        "192.0.2.2",
        "evil.example.com",
    ]
    other = parse(SpreadsheetFormat(), data, sheet="Names")
    assert [value for _, value in pairs(other)] == ["evil.example.com"]

"""Documents that are made to stop, exhaust or break whoever reads them."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from shared.sandbox.limits import Cause

_SHEET_XML = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
_TYPES_XML = (
    "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'>"
    "<Default Extension='rels' "
    "ContentType='application/vnd.openxmlformats-package.relationships+xml'/>"
    "<Default Extension='xml' ContentType="
    "'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml'/></Types>"
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS_XML = (
    "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
    "<Relationship Id='a' Type='{0}/{1}' Target='{2}'/>{3}</Relationships>"
)


class HostileDocument(NamedTuple):
    """A document and how it may end.

    Attributes:
        name: of the attack.
        make: gives its bytes.
        format: it is read in; guessed when None.
        options: of the format.
        outcomes: how it may end: read, refused by its format, or by a limit.
    """

    name: str
    make: Callable[[], bytes]
    format: str | None = None
    options: Mapping[str, Any] = {}
    outcomes: frozenset[str] = frozenset({"read", "refused"})


def _limits(*causes: Cause | Literal["read"]) -> frozenset[str]:
    # On a busy machine the clock runs out before the processor time does.
    by_clock = {"wall-clock"} if "processor-time" in causes else set()
    return frozenset({"refused", *causes, *by_clock})


def xlsx(strings: str, cells: str) -> bytes:
    """A workbook of one sheet, put together by hand."""
    sink = io.BytesIO()
    more = f"<Relationship Id='b' Type='{_RELATIONS}/sharedStrings' Target='sharedStrings.xml'/>"
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES_XML)
        archive.writestr(
            "_rels/.rels",
            _RELATIONS_XML.format(_RELATIONS, "officeDocument", "xl/workbook.xml", ""),
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            _RELATIONS_XML.format(_RELATIONS, "worksheet", "worksheets/sheet1.xml", more),
        )
        archive.writestr(
            "xl/workbook.xml",
            f"<workbook {_SHEET_XML} xmlns:r='{_RELATIONS}'><sheets>"
            "<sheet name='A' sheetId='1' r:id='a'/></sheets></workbook>",
        )
        archive.writestr(
            "xl/sharedStrings.xml", f"<sst {_SHEET_XML} count='1' uniqueCount='1'>{strings}</sst>"
        )
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f"<worksheet {_SHEET_XML}><sheetData>{cells}</sheetData></worksheet>",
        )
    return sink.getvalue()


def _shared_strings() -> bytes:
    cell = "<c r='{}' t='s'><v>0</v></c>"
    row = "".join(cell.format(f"{chr(65 + number % 26)}{{row}}") for number in range(26))
    rows = "".join(f"<row r='{n}'>{row.format(row=n)}</row>" for n in range(1, 4_000))
    return xlsx(f"<si><t>{'x' * 30_000}</t></si>", rows)


def ods(cells: str) -> bytes:
    """A sheet of OpenDocument."""
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
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        archive.writestr("mimetype", kind, zipfile.ZIP_STORED)
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return sink.getvalue()


def _repeated_cells() -> bytes:
    cell = "<text:p>192.0.2.1</text:p>"
    return ods(
        "<table:table-row table:number-rows-repeated='1048576'>"
        f"<table:table-cell table:number-columns-repeated='16384' office:value-type='string'>{cell}"
        "</table:table-cell></table:table-row>"
    )


def xlsb() -> bytes:
    """A binary workbook whose only sheet claims the largest area."""
    dimension = b"\x94\x01\x10" + struct.pack("<4I", 0, 1048575, 0, 16383)
    sheet = b"\x81\x01\x00" + dimension + b"\x91\x01\x00" + b"\x92\x01\x00" + b"\x82\x01\x00"
    name = "A".encode("utf-16-le")
    bundle = struct.pack("<2I", 0, 1) + struct.pack("<I", 1) + b"a\0" + struct.pack("<I", 1) + name
    book = b"\x83\x01\x00\x8f\x01\x00\x9c\x01" + bytes([len(bundle)]) + bundle
    book += b"\x90\x01\x00\x84\x01\x00"
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("[Content_Types].xml", _TYPES_XML)
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            _RELATIONS_XML.format(_RELATIONS, "worksheet", "worksheets/sheet1.bin", ""),
        )
        archive.writestr("xl/workbook.bin", book)
        archive.writestr("xl/worksheets/sheet1.bin", sheet)
    return sink.getvalue()


def _stix(pattern: str, count: int = 20) -> bytes:
    indicator = (
        '{"type":"indicator","id":"indicator--%08x-0000-4000-8000-000000000000",'
        '"pattern_type":"stix","pattern":"%s"}'
    )
    objects = ",".join(indicator % (number, pattern) for number in range(count))
    return f'{{"type":"bundle","objects":[{objects}]}}'.encode()


def rss(content: str) -> bytes:
    return (
        "<rss version='2.0'><channel><title>a</title><item><title>b</title>"
        f"<description><![CDATA[{content}]]></description></item></channel></rss>"
    ).encode()


def _pdf() -> bytes:
    """A page whose content unfolds to 400 MB, behind two filters."""
    packed = zlib.compress(zlib.compress(b"(192.0.2.1) Tj " * 27_000_000, 9), 9)
    stream = b"<</Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n%b\nendstream" % (
        len(packed),
        packed,
    )
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/Contents 4 0 R/MediaBox[0 0 9 9]>>",
        stream,
    ]
    body = b"".join(b"%d 0 obj%b endobj\n" % (n, part) for n, part in enumerate(parts, 1))
    return b"%PDF-1.4\n" + body + b"trailer<</Root 1 0 R>>"


def _zip_of(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("list.txt", content)
    return sink.getvalue()


_BOMB = gzip.compress(bytes(64 << 20))
_DOUBLING = "|".join(["[@,@][]"] * 40)

DOCUMENTS = [
    # Expressions that repeat what may be cut in several ways
    HostileDocument("empty comments", lambda: b"<!---->" * 60 + b"x"),
    HostileDocument("empty comments, many", lambda: b"<!---->" * 9_000 + b"x"),
    HostileDocument("spaces and instructions", lambda: b" <??>" * 12_000 + b"x"),
    HostileDocument("comments without an end", lambda: b"<!--" * 15_000),
    HostileDocument("comments behind a feed", lambda: rss("a") + b"<!---->" * 250 + b"x", "rss"),
    HostileDocument("comments before a page", lambda: b"<!-- -->" * 250 + b"x" * 2000, "text"),
    HostileDocument("colons", lambda: b":" * 20_000),
    HostileDocument("colons and blanks", lambda: (b":" * 300 + b" ") * 200, "text"),
    HostileDocument("colons of P2P", lambda: b":" * 20_000, "text", {"style": "ranges"}),
    HostileDocument("dashes", lambda: b"1.2.3.4 - " * 6_000, "text"),
    HostileDocument("equals signs", lambda: b"a=" * 30_000, "text"),
    HostileDocument("backslashes in a pattern", lambda: _stix("[a:b = '" + "\\\\\\\\" * 16_000)),
    HostileDocument("signs in a pattern", lambda: _stix("[" * 65_000)),
    HostileDocument("comments in a pattern", lambda: _stix("/* " * 21_000)),
    HostileDocument("steps in a pattern", lambda: _stix("[a:b" + ".c" * 32_000 + " = 'x'")),
    HostileDocument("numbers in a pattern", lambda: _stix("[a:b = " + "1" * 65_000)),
    # Expressions that users give
    HostileDocument(
        "doubled items",
        lambda: b'[{"v":"192.0.2.1"}]',
        "json",
        {"items": _DOUBLING},
        _limits("processor-time", "memory"),
    ),
    HostileDocument(
        "doubled values",
        lambda: b'[{"v":"192.0.2.1"}]',
        "json",
        {"value": _DOUBLING},
        _limits("processor-time", "memory"),
    ),
    HostileDocument(
        "doubled texts",
        lambda: b'[{"v":"192.0.2.1"}]',
        "json",
        {"value": "v|" + "|".join(["join('', [@,@])"] * 40)},
        _limits("processor-time", "memory", "crash"),
    ),
    HostileDocument("nested expression", lambda: b"[{}]", "json", {"value": "[" * 5_000}),
    # Deep and wide trees
    HostileDocument(
        "nested blocks",
        lambda: b"<div>" * 60_000,
        "html",
        {"selector": "div"},
        _limits("processor-time", "memory", "crash", "read"),
    ),
    HostileDocument(
        "nested blocks in an entry",
        lambda: rss("<div>" * 60_000),
        None,
        {},
        _limits("processor-time", "memory", "crash", "read"),
    ),
    HostileDocument(
        "wide XML",
        lambda: b"<a>" + b"<b c=''/>" * 4_000_000 + b"</a>",
        "xml",
        {},
        _limits("processor-time", "memory", "crash"),
    ),
    HostileDocument("deep XML", lambda: b"<a>" * 300_000, "xml", {}, _limits("crash", "memory")),
    HostileDocument(
        "entities",
        lambda: b"<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;'>]><a>&c;</a>",
        "xml",
    ),
    HostileDocument("deep JSON", lambda: b"[" * 5_000_000, "json"),
    HostileDocument(
        "wide JSON",
        lambda: b"[" + b"[]," * 12_000_000 + b"[]]",
        "json",
        {},
        _limits("processor-time", "memory", "crash", "read"),
    ),
    # Documents that unfold
    HostileDocument(
        "shared strings", _shared_strings, None, {}, _limits("memory", "crash", "processor-time")
    ),
    HostileDocument(
        "repeated cells", _repeated_cells, None, {}, _limits("memory", "crash", "processor-time")
    ),
    HostileDocument(
        "an area of OpenDocument",
        lambda: ods(
            "<table:table-row table:number-rows-repeated='1048570'/>"
            "<table:table-row><table:table-cell table:number-columns-repeated='16383'/>"
            "<table:table-cell office:value-type='string'><text:p>a</text:p></table:table-cell>"
            "</table:table-row>"
        ),
        None,
        {},
        _limits("memory", "crash", "processor-time", "read"),
    ),
    HostileDocument(
        "the area of XLSB",
        xlsb,
        "spreadsheet",
        {},
        _limits("memory", "crash", "processor-time", "read"),
    ),
    HostileDocument("page of a PDF", _pdf, None, {}, _limits("memory", "crash", "processor-time")),
    HostileDocument("gzip in gzip", lambda: gzip.compress(_BOMB)),
    HostileDocument("gzip in zip", lambda: _zip_of(_BOMB)),
    HostileDocument("layers", lambda: gzip.compress(gzip.compress(gzip.compress(b"a")))),
    # Lines
    HostileDocument("a line without end", lambda: b"a" * 40_000_000, "text"),
    HostileDocument("quotes", lambda: b'"' * 2_000_001, "csv"),
    HostileDocument(
        "columns",
        lambda: b"," * 60_000 + b"\n192.0.2.1",
        "csv",
        {},
        frozenset({"read"}),
    ),
    HostileDocument("NUL bytes", lambda: b"\0" * 2_000_000),
]

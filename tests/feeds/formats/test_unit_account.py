"""Nothing passes in silence: units in = read + left out + context, for every format."""

import io
import json
import random
from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest

from services.feeds.catalog.checks import SAMPLES
from services.feeds.catalog.service import FOLDER, read_entry
from services.feeds.formats import MalformedDocument, format_named, guess_format
from services.feeds.formats.unit_account import UnitAccount, account_of_lines
from services.feeds.previews.comparison import preview_document
from services.feeds.snapshots.document_parser import OpenDocument, parser_of
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.snapshot import FeedSnapshot
from shared.errors import InvalidInput
from tests.feeds.formats import test_field_cases
from tests.feeds.formats.contract import check_account
from tests.feeds.formats.generated_documents import GENERATED, GeneratedDocument, generate
from tests.feeds.formats.test_real_files import DATA

_BLOCK = 100
"""Generated documents of a test."""


def account_of(data: bytes, name: str, **options: Any) -> UnitAccount:
    """The account of a document as a preview tells it, which holds."""
    return preview(data, name, **options).account


def preview(data: bytes, name: str, **options: Any) -> Any:
    shown = preview_document(
        opener(data), name="feed", format_name=name, options=options, size=len(data)
    )
    check_account(shown.account, bool(shown.records or shown.retracted))
    apart = Counter(shown.dropped)
    rest = apart["duplicate"] + apart["taken back by the source"] + apart["too-large"]
    assert shown.named == shown.listed + rest
    return shown


def opener(data: bytes) -> OpenDocument:
    return lambda: nullcontext(io.BytesIO(data))


def lines_in(data: bytes) -> int:
    return len(data.removesuffix(b"\n").split(b"\n")) if data else 0


@pytest.mark.parametrize(
    ("name", "options", "document", "expected"),
    [
        (
            "text",
            {},
            b"# one\n\n192.0.2.1\n192.0.2.1\n192.0.2.300\n; two\nlocalhost\n  \n",
            UnitAccount(
                "line",
                8,
                2,
                {"malformed IPv4 address": 1, "loopback address": 1},
                {"comment": 2, "blank": 2},
            ),
        ),
        (
            "text",
            {},
            (
                b"[Adblock Plus 2.0]\n! x\n||a.example.com^\n@@||b.example.com^\n"
                b"a.example.com##.ad\n/banner/*\nword\n"
            ),
            UnitAccount(
                "line",
                7,
                1,
                {"no value": 1},
                {
                    "header": 1,
                    "comment": 1,
                    "exception": 1,
                    "element rule": 1,
                    "rule on a part of an address": 1,
                },
            ),
        ),
        (
            "text",
            {"style": "hosts"},
            (
                b"127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 a.example.com\n"
                b"192.0.2.9 nas.example.com\nx\n"
            ),
            UnitAccount(
                "line",
                5,
                1,
                {"no value": 1},
                {"local name": 2, "entry of another address": 1},
            ),
        ),
        (
            "text",
            {"style": "dnsmasq"},
            b"address=/a.example.com/0.0.0.0\ncache-size=10\nserver=192.0.2.53\n?\n",
            UnitAccount("line", 4, 1, {"no value": 1}, {"option": 2}),
        ),
        (
            "text",
            {"style": "rpz"},
            (
                b"$TTL 60\n@ SOA a. b. (\n 1 ; serial\n 1h )\n@ NS a.\na.example.com CNAME .\n"
                b"b.example.com CNAME rpz-passthru.\n*.rpz-nsdname CNAME .\n?\n"
            ),
            UnitAccount(
                "line",
                9,
                1,
                {"no value": 1},
                {"zone record": 5, "exception": 1, "other trigger": 1},
            ),
        ),
        (
            "csv",
            {},
            b'# x\nip,note\n192.0.2.1,"a\nb"\n\n192.0.2.999,c\n192.0.2.2,d\n',
            UnitAccount(
                "line",
                7,
                3,
                {"malformed IPv4 address": 1},
                {"comment": 1, "header": 1, "blank": 1},
            ),
        ),
        (
            "json",
            {"value": "ip"},
            b'[{"ip": "192.0.2.1"}, {"ip": "x"}, {"name": 1}, {"ip": ["192.0.2.2", "y"]}]',
            UnitAccount("item", 4, 2, {"single label": 1, "no value": 1}),
        ),
        (
            "stix",
            {},
            (
                b'{"type": "bundle", "objects": [{"type": "malware"}, {"type": "domain-name", '
                b'"value": "a.example.com"}, {"type": "observed-data", "objects": {}}, '
                b'{"type": "indicator"}]}'
            ),
            UnitAccount(
                "object",
                4,
                1,
                {"not a STIX pattern": 1},
                {"not an indicator": 1, "observed": 1},
            ),
        ),
        (
            "misp",
            {},
            (
                b'{"Event": {"info": "x", "Attribute": [{"type": "domain|ip", "value": '
                b'"a.example.com|192.0.2.1"}, {"type": "text|md5", "value": "x"}], '
                b'"Object": [{"Attribute": [{"type": "url", "value": "http://a.example.com/", '
                b'"to_ids": false}, 5]}]}}'
            ),
            UnitAccount(
                "attribute",
                4,
                1,
                {"missing part": 1, "not for detection": 1, "malformed attribute": 1},
            ),
        ),
        (
            "report",
            {"types": ["ipv4-addr"]},
            b"At 192.0.2.1 and 192.0.2.1, of a.example.com, by T1059.",
            UnitAccount("mention", 4, 2, {}, {"type that is not taken": 1, "ATT&CK id": 1}),
        ),
    ],
)
def test_each_unit_is_counted_once(
    name: str, options: dict[str, Any], document: bytes, expected: UnitAccount
) -> None:
    assert account_of(document, name, **options) == expected


def test_a_document_of_comments_is_accounted_for() -> None:
    assert account_of(b"# a\n\n# b\n", "text") == UnitAccount(
        "line", 3, 0, {}, {"comment": 2, "blank": 1}
    )
    assert account_of(b"# a\n\n# b\n", "csv") == UnitAccount(
        "line", 3, 0, {}, {"comment": 2, "blank": 1}
    )


def test_what_is_cut_from_a_long_line_is_told() -> None:
    shown = preview(b"192.0.2.1 " + b"x" * 200_000 + b"\n192.0.2.2\n", "text")
    assert shown.account == UnitAccount("line", 2, 2)
    assert "lines are cut at 65,536 bytes: 200,000 bytes are not read" in shown.notes


def test_a_unit_that_is_counted_nowhere_shows() -> None:
    assert account_of_lines(3, [0, 0], [(0, "x"), (1, "y")], {}).unaccounted == 1


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_equation_holds_for_the_catalog(path: Any) -> None:
    entry = read_entry(path)
    data = (SAMPLES / f"{entry.slug}.sample").read_bytes()
    account = account_of(data, entry.format, **entry.options)
    assert account.total > 0
    if account.unit == "line":
        assert account.total == lines_in(data)


def _cases() -> list[bytes]:
    marks = [
        mark
        for test in vars(test_field_cases).values()
        for mark in getattr(test, "pytestmark", ())
        if mark.name == "parametrize"
    ]
    return [case[0] for mark in marks for case in mark.args[1] if isinstance(case[0], bytes)]


@pytest.mark.parametrize("data", _cases())
def test_the_equation_holds_for_what_people_have(data: bytes) -> None:
    try:
        name, _ = guess_format("list.txt", data)
        account = account_of(data, name)
    except InvalidInput:
        return  # it is refused aloud
    if account.unit == "line":
        assert account.total == lines_in(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


FILES = sorted(path for path in DATA.glob("*") if path.is_file()) if DATA.is_dir() else []

# A fresh clone has none of them: then there is no such test, rather than a skipped one.
if FILES:

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_the_equation_holds_for_real_files(path: Any) -> None:
        data = path.read_bytes()
        try:
            name, _ = guess_format(path.name, data)
            account = account_of(data, name)
        except InvalidInput:
            return  # it is refused aloud
        if account.unit == "line":
            assert account.total == lines_in(data)


def _read(
    document: GeneratedDocument, before: FeedSnapshot | None
) -> tuple[FeedSnapshot, ParseReport]:
    report = ParseReport()
    format_ = format_named(document.format)
    reader = DocumentReader("", before, report)
    return reader.read_all(parser_of(format_, document.options, opener(document.data))), report


@pytest.mark.parametrize("start", range(0, GENERATED, _BLOCK))
def test_the_equation_holds_for_generated_documents(start: int) -> None:
    refused = 0
    for seed in range(start, min(start + _BLOCK, GENERATED)):
        document = generate(seed)
        try:
            account = account_of(document.data, document.format, **document.options)
        except MalformedDocument:
            refused += 1
            continue
        assert document.units is None or account.total == document.units, seed
    assert refused < _BLOCK // 4


@pytest.mark.parametrize("start", range(0, GENERATED, _BLOCK))
def test_reading_only_new_lines_gives_the_account_of_reading_all(start: int) -> None:
    for seed in range(start, min(start + _BLOCK, GENERATED)):
        document = generate(seed)
        if document.format not in ("text", "csv", "json") or "items" in document.options:
            continue
        source = random.Random(seed)  # noqa: S311  # no secret
        lines = document.data.split(b"\n")
        # What decides how the document is read stays: its first lines.
        later = lines[:3] + source.sample(lines[3:], len(lines[3:])) + lines[3:9]
        changed = document._replace(data=b"\n".join(later))
        try:
            before, _ = _read(document, None)
            _, whole = _read(changed, None)
        except MalformedDocument:
            continue
        snapshot, report = _read(changed, before)
        again, report_again = _read(changed, snapshot)
        for step in (report, report_again):
            assert (step.account, step.dropped, step.named) == (
                whole.account,
                whole.dropped,
                whole.named,
            ), seed
        assert again.ids.tolist() == snapshot.ids.tolist()


def test_a_restart_forgets_only_what_this_document_counted() -> None:
    report = ParseReport(notes=["read as csv"])
    report.count_units(UnitAccount("line", 2, 2))
    document = b'ip,x\n192.0.2.1,"a\nb"\n'
    reader = DocumentReader("", None, report)
    reader.read_all(parser_of(format_named("csv"), {}, opener(document)))
    assert report.account == UnitAccount("line", 5, 4, {}, {"header": 1})
    assert report.notes[0] == "read as csv"
    assert report.named == 1


def test_json_is_as_long_as_it_says() -> None:
    items = [{"ip": f"192.0.2.{number}"} for number in range(250)]
    assert account_of(json.dumps(items).encode(), "json").total == 250


def test_a_header_with_the_text_of_a_row_is_no_row() -> None:
    options = {"columns": {"value": 0}, "header": True}
    document = GeneratedDocument("csv", options, b"192.0.2.1,x\n192.0.2.1,x\n", 2)
    snapshot, whole = _read(document, None)
    _, report = _read(document, snapshot)
    assert report.account == whole.account == UnitAccount("line", 2, 1, {}, {"header": 1})
    assert report.named == whole.named == 1

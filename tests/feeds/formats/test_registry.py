"""Which formats there are, and which one a document is."""

import importlib.metadata
import io
import re
import sys

import pytest

from sentineliq.cli.client.format_options import parse_options
from services.feeds.formats import MalformedDocument, format_named, guess_format
from services.feeds.formats.base import AmbiguousDocument, read_options
from services.feeds.formats.csv import CsvOptions
from services.feeds.formats.json import JsonOptions
from services.feeds.formats.registry import (
    GROUP,
    _plugins,
    check_options,
    format_names,
)
from shared.errors import InvalidInput


def test_the_built_in_formats_have_names():
    names = {"text", "csv", "json", "stix", "misp", "rss", "html", "pdf", "report"}
    names |= {"xml", "spreadsheet"}
    assert names <= set(format_names())
    assert {format_named(name).name for name in names} == names


def test_an_unknown_format_is_answered_with_those_that_are_known():
    with pytest.raises(
        InvalidInput, match="'yaml' is no format; one of text, csv, json, stix, misp"
    ):
        format_named("yaml")


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.txt", b"# x\n192.0.2.1\nevil.example.com\n", "text"),
        ("a", b"0.0.0.0 ads.example.com\n", "text"),
        ("a.txt", b"/gate.php\n/a.sh\n", "text"),
        ("a", b"192.0.2.1,5\n192.0.2.2,6\n", "text"),
        ("a", b"1;x;192.0.2.1\n2;y;192.0.2.2\n", "csv"),
        ("a", b"id,ip\n1,192.0.2.1\n", "csv"),
        ("a.tsv", b"192.0.2.1\t1\n", "csv"),
        ("a", b' \n{"type" : "bundle", "objects": [', "stix"),
        ("a", b'{"objects": [', "stix"),
        ("a", b'[{"a": "192.0.2.1"}]', "json"),
        ("a", b'{"a": "192.0.2.1"}\n{"a": "192.0.2.2"}', "json"),
        ("a", b'<?xml version="1.0"?>\n<!-- x --><rss version="2.0">', "rss"),
        ("a", b'<feed xmlns="http://www.w3.org/2005/Atom">', "rss"),
        ("report.pdf", b"%PDF-1.7", "pdf"),
        ("a", b"<?xml version='1.0'?><list><ip>192.0.2.1</ip></list>", "xml"),
        ("a", b"PK\x03\x04" + b"\x00" * 26 + b"[Content_Types].xml", "spreadsheet"),
        ("https://example.com/report.html?x=1", b"<!doctype html><html>", "html"),
        ("a", b'[{"Event": {"Attribute": []}}]', "misp"),
        ("a", b'{"info": "x", "Attribute": [{"type": "url", "to_ids": false}]}', "misp"),
        ("a", b'{"response": {"Attribute": [{"type": "url", "to_ids": false}]}}', "misp"),
        ("a", b'{"meta": {}, "objects": [{"id": 1, "value": "192.0.2.1"}]}', "json"),
        ("a", b'{"objects": [{"type": "ipv4-addr", "id": "ipv4-addr--0a1b2c3d-', "stix"),
    ],
)
def test_guessed(name, head, expected):
    guessed, reason = guess_format(name, head)
    assert guessed == expected
    assert reason


UFW = b"Nov 29 10:01:12 fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=%s DST=203.0.113.10 PROTO=TCP\n"


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.csv", b"||one.example.com^\n||two.example.com^\n", "text"),
        ("a.csv", b"address=/one.example.com/\naddress=/two.example.com/\n", "text"),
        ("a.csv", b"time=1 src=198.51.100.7 act=drop\n" * 5, "text"),
        ("a.csv", b"url,note\nhttp://one.example.com/?a=b,x\n", "csv"),
        ("a.csv", b"name\none.example.com\n", "csv"),
        ("a.html", b'{"items": [{"ip": "198.51.100.7"}]}', "json"),
        ("a.html", b"198.51.100.7\n198.51.100.8\n", "text"),
        ("a.html", b"<p>198.51.100.7</p>", "html"),
        ("a.html", b"Addresses: <b>198.51.100.7</b>\n", "html"),
    ],
)
def test_the_content_comes_before_the_ending(name, head, expected):
    assert guess_format(name, head)[0] == expected


def test_a_log_under_the_name_of_a_table_is_doubted_as_a_log():
    log = b"".join(UFW % address for address in (b"198.51.100.7", b"198.51.100.8"))
    with pytest.raises(AmbiguousDocument, match="keys DST, SRC") as doubt:
        guess_format("a.csv", log)
    assert {choice["options"]["key"] for choice in doubt.value.alternatives} == {"DST", "SRC"}


PROSE = b"Dear reader,\nit resolved to 198.51.100.7.\nThat was\nin June.\nHere is\nmore.\nYours\n"
FRAME = b"""+--------------+--------+
| ip           | family |
+--------------+--------+
| 198.51.100.7 | Mirai  |
| 198.51.100.8 | Emotet |
+--------------+--------+
"""


@pytest.mark.parametrize(
    ("head", "format_name"),
    [
        (PROSE, "report"),
        (b"<table><tr><td>198.51.100.7</td><td>Mirai</td></tr></table>", "html"),
        (b"<ul><li>198.51.100.7</li></ul>", "html"),
    ],
)
def test_a_refusal_names_the_format_that_reads_it(head, format_name):
    with pytest.raises(InvalidInput, match=f"`--format {format_name}`"):
        guess_format("a.txt", head)
    batches = format_named(format_name).parse(io.BytesIO(head), {})
    assert [item.value for batch in batches for item in batch.indicators] == ["198.51.100.7"]


def test_a_table_in_a_frame_is_refused_with_the_options_that_read_it():
    with pytest.raises(AmbiguousDocument, match="table in a frame") as doubt:
        guess_format("a.txt", FRAME)
    for choice in doubt.value.alternatives:
        batches = format_named(choice["format"]).parse(io.BytesIO(FRAME), choice["options"])
        values = [item.value for batch in batches for item in batch.indicators]
        assert values == ["198.51.100.7", "198.51.100.8"]


@pytest.mark.parametrize("format_name", ["text", "csv", "json", "xml", "spreadsheet", "report"])
def test_an_unknown_option_is_answered_with_those_that_there_are(format_name):
    with pytest.raises(InvalidInput, match=r"no option `colum`; there are: .*type") as problem:
        check_options(format_name, {"colum": 1})
    assert problem.value.details["field"] == "options"
    with pytest.raises(InvalidInput, match="no option `colum`"):
        list(format_named(format_name).parse(io.BytesIO(b"198.51.100.7"), {"colum": 1}))


def test_before_the_format_is_guessed_an_option_of_any_format_is_taken():
    check_options(None, {"column": 1})
    check_options(None, {"sheet": "A"})
    with pytest.raises(InvalidInput, match=r"No format has an option `colum`; .*text: .*column"):
        check_options(None, {"colum": 1})


def test_a_number_is_text_where_an_option_wants_text():
    options = read_options(JsonOptions, {"family": 2026, "types": {"a": 7}, "lines": True})
    assert (options.family, options.types, options.lines) == ("2026", {"a": "7"}, True)
    assert read_options(CsvOptions, {"columns": {"value": 1}}).columns.value == 1


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"one x 198.51.100.7\ntwo y 198.51.100.8\n" * 3, "a"),
        (b"198.51.100.7 203.0.113.9\n198.51.100.8 203.0.113.8\n" * 3, "a"),
        (b"198.51.100.7 one.example.com\n198.51.100.8 two.example.com\n" * 3, "a"),
        (b"time=1 src=198.51.100.7 act=drop\n" * 5, "a"),
    ],
)
def test_an_option_that_a_note_names_is_taken_by_the_command_line(head, name):
    format_name, _ = guess_format(name, head)
    notes = [
        note
        for batch in format_named(format_name).parse(io.BytesIO(head), {})
        for note in batch.notes
    ]
    options = [match[1] for note in notes for match in re.finditer(r"`--option ([^`]+)`", note)]
    assert options
    for option in options:
        batches = format_named(format_name).parse(io.BytesIO(head), parse_options([option]))
        assert any(batch.indicators for batch in batches)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "no data"),
        (b"# only comments\n", "no data"),
        (b"Dear reader,\nthis is a letter.\nYours\n", "neither a list of observables nor a table"),
    ],
)
def test_not_guessed(head, words):
    with pytest.raises(InvalidInput, match=words) as problem:
        guess_format("a", head)
    assert problem.value.details["field"] == "format"


@pytest.mark.parametrize("head", [b"<html>", b"\x7fELF\x02", b"a\x00b" * 9, bytes(range(9)) * 9])
def test_what_is_no_text_is_malformed(head):
    with pytest.raises(MalformedDocument):
        guess_format("a.txt", head)


THEIRS = """
from services.feeds.formats.text import TextFormat

class Theirs(TextFormat):
    name = "{name}"

class Broken(TextFormat):
    def __init__(self):
        raise RuntimeError("not today")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A third party's package: a format, and one that cannot be instantiated."""

    def install(name):
        info = tmp_path / "theirs-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        info.joinpath("entry_points.txt").write_text(
            f"[{GROUP}]\na = their_formats:Broken\nb = their_formats:Theirs\n"
        )
        tmp_path.joinpath("their_formats.py").write_text(THEIRS.format(name=name))
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.metadata.MetadataPathFinder().invalidate_caches()
        _plugins.cache_clear()
        format_named.cache_clear()

    yield install
    sys.modules.pop("their_formats", None)
    _plugins.cache_clear()
    format_named.cache_clear()


def test_a_third_party_brings_a_format_and_what_it_breaks_costs_no_other(package):
    package("theirs")
    assert format_named("theirs").name == "theirs"
    assert format_names()[-1] == "theirs"


def test_a_third_party_does_not_replace_ours(package):
    package("csv")
    assert format_named("csv").__class__.__module__ == "services.feeds.formats.csv"
    assert format_names().count("csv") == 1

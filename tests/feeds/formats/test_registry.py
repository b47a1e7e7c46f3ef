"""Which formats there are, and which one a document is."""

import importlib.metadata
import sys

import pytest

from services.feeds.formats import MalformedDocument, format_named, guess_format
from services.feeds.formats.registry import GROUP, _plugins, format_names
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

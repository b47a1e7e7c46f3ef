"""XML documents."""

import pytest

from services.feeds.formats import MalformedDocument, guess_format
from services.feeds.formats.xml import XmlFormat
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse

FEED = b"""<?xml version="1.0"?>
<threats xmlns="urn:example:feed" generated="2026-01-01">
  <!-- entries -->
  <entry id="1"><ip>192.0.2.1</ip><seen>2026-01-01</seen></entry>
  <entry id="2"><ip>192.0.2.2</ip><seen>2026-01-02</seen></entry>
  <entry id="3"><ip>nonsense</ip><seen>2026-01-02</seen></entry>
</threats>
"""


class TestXml(FormatContract):
    format = XmlFormat()
    samples = (
        b"<list><ip>192.0.2.1</ip><ip>192.0.2.2</ip></list>",
        b"<list><item url='http://one.example.com/a'/><item url='http://two.example.net/'/></list>",
    )


def test_repeated_elements_are_items():
    whole = parse(XmlFormat(), FEED, first_seen="seen", value="ip")
    assert [(record.value, record.first_seen) for record in whole.indicators] == [
        ("192.0.2.1", "2026-01-01T00:00:00Z"),
        ("192.0.2.2", "2026-01-02T00:00:00Z"),
    ]
    assert drops(whole) == [("threats.entry[2]", "single label")]


def test_one_element_is_read_like_two():
    document = b"<list><item><ip>192.0.2.1</ip><n>1</n></item></list>"
    assert pairs(parse(XmlFormat(), document)) == [("ipv4-addr", "192.0.2.1")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<list><ip>192.0.2.1</ip>", "malformed"),
        (b'<!DOCTYPE l [<!ENTITY a "192.0.2.1">]><l><ip>&a;</ip></l>', "entities"),
        (b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l>&a;</l>', "entities"),
        (b"<a>" * 500 + b"</a>" * 500, "too deeply"),
        (b"<person><name>ann</name></person>", "list"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "decoded|malformed"),
    ],
)
def test_documents_that_cannot_be_read(data, words):
    with pytest.raises(MalformedDocument, match=words):
        parse(XmlFormat(), data)


@pytest.mark.parametrize("written", ["utf-16", "utf-8"])
def test_a_declared_utf_16_is_read_however_it_is_written(written):
    text = (
        '<?xml version="1.0" encoding="utf-16"?><list><ip>192.0.2.1</ip><ip>192.0.2.2</ip></list>'
    )
    batch = parse(XmlFormat(), text.encode(written))
    assert [value for _, value in pairs(batch)] == ["192.0.2.1", "192.0.2.2"]


def test_it_is_guessed():
    assert guess_format("feed", FEED)[0] == "xml"


def test_a_doubt_names_this_format():
    rows = "".join(f"<r><src>192.0.2.{n}</src><dst>198.51.100.{n}</dst></r>" for n in range(1, 4))
    data = f"<log>{rows}</log>".encode()
    with pytest.raises(MalformedDocument, match="say by the option") as problem:
        parse(XmlFormat(), data)
    for choice in problem.value.details["alternatives"]:
        assert choice["format"] == "xml"
        assert parse(XmlFormat(), data, **choice["options"]).indicators


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            "<r><e ip='198.51.100.7'><ip>198.51.100.8</ip></e><e ip='198.51.100.9'/></r>",
            ["198.51.100.7", "198.51.100.8", "198.51.100.9"],
        ),
        (
            "<a><ip>198.51.100.1<br/>198.51.100.2</ip><ip>198.51.100.3</ip></a>",
            ["198.51.100.1", "198.51.100.2", "198.51.100.3"],
        ),
        (
            "<a><ip><!-- x -->198.51.100.1</ip><ip n='1'>198.51.100.2</ip></a>",
            ["198.51.100.1", "198.51.100.2"],
        ),
        ("<a><i x:ip='198.51.100.1' y:ip='198.51.100.2' xmlns:x='x' xmlns:y='y'/></a>",
         ["198.51.100.1", "198.51.100.2"]),
    ],
)  # fmt: skip
def test_no_text_of_an_element_is_lost(document, expected):
    assert [value for _, value in pairs(parse(XmlFormat(), document.encode()))] == expected

"""Web pages."""

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.html import HtmlFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, pairs, parse

PAGE = b"""<!DOCTYPE html><html><head><title>A
 report</title><link rel="canonical" href="https://www.vendor.example.org/r"></head>
<body><nav>nav.example.com</nav><header>head.example.com</header>
<p>It calls <b>evil</b>[.]com, said blog.vendor.example.org<br>bad[.]net, too: T1566.</p>
<table class="iocs"><tr><td>x.example.com</td><td>192.0.2.7</td></tr></table>
<script>"script.example.com"</script><style>url(style.example.com)</style>
<p>More <a href="http://link.example.com/">here</a>; very<wbr>.long.example.net</p>
<footer>foot.example.com</footer></body></html>
"""


class TestHtml(FormatContract):
    format = HtmlFormat()
    samples = (PAGE,)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"\x1f\x8b\x08\x00abc", "gzip data"),
            (b"%PDF-1.7", "PDF"),
            (b"<p>\x00</p>", "a NUL byte at byte 3"),
            (b"", "empty"),
        ],
    )
    def test_what_is_no_text_is_said_to_be_what_it_is(self, data, words):
        with pytest.raises(MalformedDocument, match=words):
            parse(self.format, data)

    def test_it_is_found_by_name_and_content(self):
        from services.feeds.formats import format_named, guess_format

        assert format_named("html").name == "html"
        for sample in self.samples:
            assert guess_format("https://example.com/report.html", sample)[0] == "html"
            with pytest.raises(MalformedDocument):
                guess_format("https://example.com/list.txt", b"<html>" + sample)


def test_what_a_reader_sees_counts_each_block_and_cell_by_itself():
    whole = parse(HtmlFormat(), PAGE)
    assert pairs(whole) == [
        ("domain-name", "evil.com"),
        ("domain-name", "bad.net"),
        ("domain-name", "x.example.com"),
        ("ipv4-addr", "192.0.2.7"),
        ("domain-name", "very.long.example.net"),
    ]
    assert whole.indicators[0].description == "It calls evil[.]com, said blog.vendor.example.org"
    assert whole.notes == ["page: A report", "names ATT&CK T1566"]


def test_a_selector_names_the_part_that_counts():
    assert [value for _, value in pairs(parse(HtmlFormat(), PAGE, selector="table.iocs"))] == [
        "x.example.com",
        "192.0.2.7",
    ]
    assert pairs(parse(HtmlFormat(), PAGE, selector="footer")) == [
        ("domain-name", "foot.example.com")
    ]


def test_a_selector_that_finds_nothing_or_is_none_is_said():
    with pytest.raises(
        MalformedDocument, match=r"nothing on the page matches the selector '\.gone'"
    ):
        parse(HtmlFormat(), PAGE, selector=".gone")
    with pytest.raises(InvalidInput) as problem:
        parse(HtmlFormat(), PAGE, selector="p..x")
    assert problem.value.details["field"] == "options.selector"


def test_the_encoding_is_the_one_the_page_names():
    page = '<meta charset="windows-1251"><p>пример[.]рф'.encode("windows-1251")
    assert pairs(parse(HtmlFormat(), page)) == [("domain-name", "xn--e1afmkfd.xn--p1ai")]
    assert pairs(parse(HtmlFormat(), b'<meta charset="klingon"><p>evil[.]com')) == [
        ("domain-name", "evil.com")
    ]


def test_only_the_types_that_are_asked_for():
    assert pairs(parse(HtmlFormat(), PAGE, types=["ipv4-addr"])) == [("ipv4-addr", "192.0.2.7")]


def test_a_page_within_a_form_is_read():
    page = b"""<html><body><form id="aspnetForm"><div><p>C2: hxxp://one[.]example[.]com/gate</p>
    <article><header><p>198.51.100.7</p></header></article></div>
    <header>head.example.com</header></form></body></html>"""
    assert [value for _, value in pairs(parse(HtmlFormat(), page))] == [
        "http://one.example.com/gate",
        "198.51.100.7",
    ]


def test_a_page_that_was_mostly_left_out_is_told():
    page = b"<nav>" + b"a menu of the site " * 50 + b"</nav><p>evil[.]com"
    whole = parse(HtmlFormat(), page)
    assert pairs(whole) == [("domain-name", "evil.com")]
    assert "most of the page was left out" in whole.notes[0]

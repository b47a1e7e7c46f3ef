"""Web pages."""

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.html import HtmlFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, pairs, parse

PAGE = b"""<!DOCTYPE html><html><head><title>A
 report</title><link rel="canonical" href="https://www.vendor.example.org/r"></head>
<body><nav>nav.example.com</nav><header>head.example.com</header>
<p>It calls <b>evil</b>[.]com, said blog.vendor.example.org<br>bad[.]net, too: T1566.</p>
<table class="iocs"><tr><td>x.example.com</td><td>192.0.2.7</td></tr></table>
<script>"script.example.com"</script><style>url(style.example.com)</style>
<p>More <a href="http://link.example.com/">here</a>; very<wbr>.long[.]example.net</p>
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
    first, context, last = whole.notes
    assert (first, last) == ("page: A report", "names ATT&CK T1566")
    assert context.startswith("blog.vendor.example.org: context")


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


@pytest.mark.parametrize("tag", ["th", "td"])
def test_a_table_of_a_page_is_read_by_its_columns(tag):
    """At 929fb88 the sensor of each row was an indicator."""
    cells = ("Address", "Malware", "Sensor")
    header = "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)
    rows = "".join(
        f"<tr><td><a href='/x'>45[.]155[.]205[.]{at}</a> (C2)</td><td>Mirai</td>"
        "<td>203.0.113.10</td></tr>"
        for at in range(1, 4)
    )
    rows = rows.replace(" (C2)", "", 2)
    page = f"<html><p>See a.example.org.</p><table><tr>{header}</tr>{rows}</table></html>".encode()
    whole = parse(HtmlFormat(), page)
    values = [item.value for item in whole.indicators]
    assert values == ["a.example.org", "45.155.205.1", "45.155.205.2", "45.155.205.3"]
    assert [item.malware for item in whole.indicators[1:]] == ["Mirai"] * 3
    assert whole.account is not None
    assert whole.account.context == {"other column of a table": 3}
    assert any("--option tables=false" in note for note in whole.notes)


def test_a_table_of_two_hosts_is_a_doubt_with_its_answers():
    rows = "".join(
        f"<tr><td>45.155.205.{at}</td><td>203.0.113.{at}</td></tr>" for at in range(1, 4)
    )
    page = f"<html><table><tr><th>src</th><th>dst</th></tr>{rows}</table></html>".encode()
    with pytest.raises(AmbiguousDocument) as doubt:
        parse(HtmlFormat(), page)
    counts = [
        len(parse(HtmlFormat(), page, **choice["options"]).indicators)
        for choice in doubt.value.alternatives
    ]
    assert counts == [3, 3, 6, 6]


def test_a_table_that_holds_another_is_layout():
    inner = "<table><tr><th>ip</th><th>n</th></tr><tr><td>192.0.2.7</td><td>1</td></tr></table>"
    page = f"<html><table><tr><td>x.example.com</td><td>{inner}</td></tr></table></html>"
    assert [value for _, value in pairs(parse(HtmlFormat(), page.encode()))] == [
        "x.example.com",
        "192.0.2.7",
    ]

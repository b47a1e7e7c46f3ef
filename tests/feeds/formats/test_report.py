"""Prose as plain text."""

import pytest

from services.feeds.formats.report import ProseFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, pairs, parse

REPORT = b"""A loader (setup.py) calls hxxps://evil[.]com/load.php and,
when that fails, 192[.]0[.]2[.]1. It is T1059.001, then T1566.

MD5: d41d8cd98f00b204e9800998ecf8427e
"""


class TestReport(FormatContract):
    format = ProseFormat()
    samples = (REPORT,)

    def test_it_is_found_by_name_and_content(self):
        from services.feeds.formats import format_named

        assert (
            format_named("report").name == "report"
        )  # prose looks like nothing: its format is always named


def test_what_prose_names_with_the_line_it_stands_in():
    whole = parse(ProseFormat(), REPORT)
    assert pairs(whole) == [
        ("url", "https://evil.com/load.php"),
        ("ipv4-addr", "192.0.2.1"),
        ("file-md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ]
    assert [record.description for record in whole.indicators] == [
        "A loader (setup.py) calls hxxps://evil[.]com/load.php and,",
        "when that fails, 192[.]0[.]2[.]1. It is T1059.001, then T1566.",
        "MD5: d41d8cd98f00b204e9800998ecf8427e",
    ]


def test_techniques_are_no_records_but_noted():
    assert parse(ProseFormat(), REPORT).notes == ["names ATT&CK T1059.001, T1566"]


def test_of_a_long_line_the_words_around_describe():
    whole = parse(ProseFormat(), b"before " * 100 + b"evil[.]com" + b" after" * 100)
    (record,) = whole.indicators
    assert record.description is not None
    assert record.description.startswith("before before")
    assert " evil[.]com after" in record.description
    assert len(record.description) <= 210


def test_only_the_types_that_are_asked_for():
    assert pairs(parse(ProseFormat(), REPORT, types=["ipv4", "file-sha1"])) == [
        ("ipv4-addr", "192.0.2.1")
    ]
    for wrong in (["ipv5"], []):
        with pytest.raises(InvalidInput) as problem:
            parse(ProseFormat(), REPORT, types=wrong)
        assert problem.value.details["field"] == "options.types"


def test_marks_that_nobody_sees_part_no_word():
    text = "evil\u200b[.]c\u00adom \u2060192.0.\u200b2.1".encode()
    assert [value for _, value in pairs(parse(ProseFormat(), text))] == ["evil.com", "192.0.2.1"]

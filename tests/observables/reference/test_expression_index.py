"""Expressions of others: all at once, in linear time, and none that RE2 does not have."""

import re
import time

import pytest

from services.observables.reference.expression_index import (
    MAX_TEXT_LENGTH,
    ExpressionIndex,
    re2_source,
)
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import bundled, pack

EXPONENTIAL = "^(([a-z])+.)+[A-Z]([a-z])+$"


def test_an_expression_that_would_be_exponential_is_searched_in_linear_time() -> None:
    index = ExpressionIndex([EXPONENTIAL, "^a"])
    hostile = "a" * MAX_TEXT_LENGTH
    started = time.process_time()
    assert list(index.find([hostile] * 100)) == [(place, 1) for place in range(100)]
    assert time.process_time() - started < 5
    # Python needs a second for 30 letters of it, and twice as long for each further two.


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("/^abuse@/i", "(?i:^abuse@)"),
        ("^abuse@", "^abuse@"),
        ("/a.b/si", "(?is:a.b)"),
        ("(unclosed", None),
        (r"(a)\1", None),
        ("(?=a)b", None),
        ("/a b/x", None),
        ("a{1000}{1000}", None),
        ("\ud800", None),
    ],
)
def test_expressions_that_re2_does_not_have_are_left_out(text: str, source: str | None) -> None:
    assert re2_source(text) == source


def test_an_index_without_expressions_finds_nothing() -> None:
    assert list(ExpressionIndex([]).find(["a"])) == []
    assert list(ExpressionIndex(["("]).find(["a"])) == []


def test_the_bundled_expressions_match_what_they_match_in_python() -> None:
    index = WarningListIndex(pack(bundled()))
    texts = [text for _, text in index._expressions]
    assert len(texts) >= 30
    names = ["abuse", "noc", "security", "info", "kim", "postmaster", "admin", "csirt"]
    values = [f"{name}{end}@example.com" for name in names for end in ("", "1", ".a")]
    expected = set()
    for place, text in enumerate(texts):
        slashed = re.fullmatch(r"/(.*)/([a-z]*)", text)
        pattern, letters = slashed.groups() if slashed else (text, "")
        flags = re.IGNORECASE if "i" in letters else re.NOFLAG
        expression = re.compile(pattern, flags)
        expected |= {(at, place) for at, value in enumerate(values) if expression.search(value)}
    assert expected
    assert set(ExpressionIndex(texts).find(values)) == expected

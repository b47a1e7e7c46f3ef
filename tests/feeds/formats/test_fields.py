"""Times, confidences, tags and words as sources write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-02", "2026-01-02T00:00:00Z"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
        ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05+05:30", "2026-01-01T21:34:05Z"),
        ("1767323045", "2026-01-02T03:04:05Z"),
        (1767323045, "2026-01-02T03:04:05Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+0530", "2026-01-01T21:34:05Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123Z"),
        ("2026/01/02 03:04", "2026-01-02T03:04:00Z"),
        ("20260102", "2026-01-02T00:00:00Z"),
        ("Fri, 02 Jan 2026 03:04:05 +0000", "2026-01-02T03:04:05Z"),
        ("2 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05Z"),
        (1767323045.5, "2026-01-02T03:04:05Z"),
        ("1767323045000", "2026-01-02T03:04:05Z"),
        ("1767323045000000", "2026-01-02T03:04:05Z"),
        (1767323045123456789, "2026-01-02T03:04:05.123Z"),
        ("12345678901", None),
        ("01/02/2026", None),
        ("26-08-2017", None),
        (True, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
    ],
)
def test_timestamp(value, expected):
    assert expected == fields.timestamp(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (75, 75),
        ("75", 75),
        (" 75 %", 75),
        ("High", 85),
        ("101", None),
        (-1, None),
        ("x", None),
        (None, None),
    ],
)
def test_confidence(value, expected):
    assert expected == fields.confidence(value)


def test_tags():
    assert fields.tags("a, b;c|a", ["d,e", 5, "a"], None, "") == ("a", "b", "c", "d,e")
    assert len(fields.tags([str(number) for number in range(100)])) == 32


@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.text()))
def test_nothing_raises(value):
    for read in (fields.timestamp, fields.confidence, fields.tags, fields.short_text):
        read(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.85, 85),
        ("0.85", 85),
        (85.0, 85),
        ("85.5", 86),
        ("85%", 85),
        ("0.5%", 0),
        (1, 1),
        (1.0, None),
        ("1.0", None),
        (0, 0),
        (0.004, 0),
        (100.5, None),
        (-0.5, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_share_of_one_is_a_confidence_too(value, expected):
    assert fields.confidence(value) == expected

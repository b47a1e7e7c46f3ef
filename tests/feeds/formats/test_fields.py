"""Times, confidences, tags and words as sources write them."""

from datetime import UTC, date, datetime, timedelta, timezone

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
        ("202601020304", "2026-01-02T03:04:00Z"),
        (20260102030405, "2026-01-02T03:04:05Z"),
        (2026010203, None),
        (2035990203, "2034-07-08T16:50:03Z"),
        ("2026-01-02-05:00", "2026-01-02T05:00:00Z"),
        ("2026-01-02+05:00", "2026-01-01T19:00:00Z"),
        ("2026-01-02Z", "2026-01-02T00:00:00Z"),
        ("2026-01-02 03:04:05 +0530", "2026-01-01T21:34:05Z"),
        ("2 Jan 2026 10:00 PM", "2026-01-02T22:00:00Z"),
        ("2 Jan 2026 12:05:00 am", "2026-01-02T00:05:00Z"),
        ("2 Jan 2026 13:05 PM", None),
        ("Fri, 2 Jan 2026 10:00:00 -0500", "2026-01-02T15:00:00Z"),
        ("Fri, 2 Jan 2026 10:00:00 EST", "2026-01-02T15:00:00Z"),
        ("Fri, 2 Jan 2026 10:00:00 CEST", None),
        ("2026-01-02 10:00:00 CEST", None),
        ("2026-01-02 10:00 PM", None),
        ("2 Foo 2026 10:00", None),
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


FORMS = (
    *("%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%dT%H:%M:%SZ", "%d %b %Y %I:%M:%S %p"),
    *("%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%dT%H:%M:%S+0000", "%Y-%m-%d %H:%M:%S +00:00"),
)


@given(
    moment=st.datetimes(
        datetime(1990, 1, 1),  # noqa: DTZ001  # hypothesis wants them without a zone
        datetime(2029, 12, 31),  # noqa: DTZ001
    ),
    form=st.sampled_from(FORMS),
)
def test_a_time_is_read_as_it_was_written(moment, form):
    assert fields.timestamp(moment.strftime(form)) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@given(
    day=st.dates(date(1990, 1, 1), date(2029, 12, 31)),
    hours=st.integers(-12, 14),
    name=st.sampled_from(("CET", "CEST", "BST", "IST", "AEST", "X")),
)
def test_a_zone_is_kept_or_the_time_is_none(day, hours, name):
    midnight = datetime(day.year, day.month, day.day, tzinfo=timezone(timedelta(hours=hours)))
    expected = midnight.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert fields.timestamp(f"{day}{hours:+03}:00") == expected
    assert fields.timestamp(day.strftime(f"%d %b %Y 10:00:00 {name}")) is None


@given(st.floats(0, 100, exclude_min=True))
def test_some_confidence_is_not_none_at_all(number):
    for text in (number, repr(number), f"{number!r}%"):
        assert fields.confidence(text) != 0


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
        ("0.5%", 1),
        ("0.001", 1),
        ("0%", 0),
        (True, None),
        (False, None),
        (1, 1),
        (1.0, None),
        ("1.0", None),
        (0, 0),
        (0.004, 1),
        (100.5, None),
        (-0.5, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_share_of_one_is_a_confidence_too(value, expected):
    assert fields.confidence(value) == expected

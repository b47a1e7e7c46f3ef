"""When objects count as added: no client may lose one for the way in which it keeps time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.taxii.moments import (
    MAX_SHARE,
    STEP,
    assign_moments,
    format_moment,
    format_version,
    parse_moment,
)

NOW = datetime(2026, 11, 30, 8, 0, 0, 123_456, UTC)
moments = st.integers(0, 10**12).map(lambda count: NOW + timedelta(microseconds=count))


@given(
    st.lists(st.tuples(moments, st.integers(1, 350)), min_size=1, max_size=8),
)
def test_moments_grow_by_two_milliseconds_and_a_hundred_share_one(
    batches: list[tuple[datetime, int]],
) -> None:
    last: datetime | None = None
    share = 0
    added: list[datetime] = []
    for now, count in batches:
        assigned = list(assign_moments(now, last, share, count))
        assert len(assigned) == count
        assert assigned[0][0] >= now
        added += [moment for moment, _ in assigned]
        last = assigned[-1][0]
        share = assigned[-1][1]
    assert all(after >= before for before, after in pairwise(added))
    distinct = sorted(set(added))
    assert all(after - before >= STEP for before, after in pairwise(distinct))
    assert all(moment.microsecond % 2_000 == 0 for moment in distinct)
    assert max(added.count(moment) for moment in distinct) <= MAX_SHARE
    assert share == added.count(added[-1])


def test_a_moment_goes_on_where_the_batch_before_ended() -> None:
    (first,) = {moment for moment, _ in assign_moments(NOW, None, 0, 60)}
    assert first == NOW.replace(microsecond=124_000)
    rest = list(assign_moments(NOW, first, 60, 60))
    assert [moment for moment, _ in rest] == [first] * 40 + [first + STEP] * 20


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-30T08:00:00Z", NOW.replace(microsecond=0)),
        ("2026-11-30T08:00:00.1Z", NOW.replace(microsecond=100_000)),
        ("2026-11-30T08:00:00.123456Z", NOW),
        ("2026-11-30T08:00:00.123456789Z", NOW),
        ("2026-11-30t08:00:00.123456z", NOW),
        ("2026-11-30T10:00:00.123456+02:00", NOW),
    ],
)
def test_timestamps_are_read(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-11-30", "2026-11-30T08:00:00", "1764489600", "2026-13-30T08:00:00Z"),
        *("2026-11-30T08:00:00.Z", "2026-11-30T08:00:00 Z", "٢026-11-30T08:00:00Z"),
        *("0001-01-01T00:00:00+14:00", "2026-11-30T08:00:00Z\n", "2026-11-30T08:00:00Z,"),
    ],
)
def test_other_texts_are_no_timestamps(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_moment(text)


def test_times_are_written_with_six_digits_and_versions_with_as_few_as_they_need() -> None:
    assert format_moment(NOW.replace(microsecond=0)) == "2026-11-30T08:00:00.000000Z"
    assert format_moment(NOW) == "2026-11-30T08:00:00.123456Z"
    assert format_version(NOW) == "2026-11-30T08:00:00.123456Z"
    assert format_version(NOW.replace(microsecond=120_000)) == "2026-11-30T08:00:00.120Z"
    east = NOW + timedelta(0)
    assert parse_moment(format_version(east)) == east

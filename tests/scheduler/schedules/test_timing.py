from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.scheduler.schedules.timing import Timing, firing_outcome, message_id, time_zone
from shared.errors import InvalidInput

ID = UUID("5f0c7f3e-6a3b-4e57-9a35-6a0c1f6f2b10")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Kolkata",
)

moments = st.datetimes(
    min_value=datetime(2024, 1, 1),  # noqa: DTZ001  # made aware by the strategy
    max_value=datetime(2031, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([ZoneInfo(name) for name in ZONES]),
)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.integers(1, high).map("*/{}".format),
        st.lists(numbers, min_size=2, max_size=3).map(lambda some: ",".join(map(str, some))),
        st.tuples(numbers, numbers).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    )


expressions = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map(
    " ".join
)


@given(expressions, st.sampled_from(ZONES), moments)
def test_cron_is_due_after_now_and_only_at_its_times(cron: str, timezone: str, now: datetime):
    try:
        due = Timing(cron=cron, timezone=timezone).next_due(now)
    except InvalidInput as error:
        assume("never" in error.message or "Bad day" in error.message)
        return
    assert due.tzinfo is UTC
    assert due > now.astimezone(UTC)
    assert due.second == 0


@given(st.integers(1, 100_000), moments, st.integers(-1_000_000, 10_000_000))
def test_interval_is_due_after_now_on_its_grid(every: int, previous: datetime, later: int):
    now = previous.astimezone(UTC) + timedelta(seconds=later)
    due = Timing(every_seconds=every).next_due(now, previous)
    assert now < due <= now + timedelta(seconds=every)
    assert (due - previous.astimezone(UTC)) % timedelta(seconds=every) == timedelta(0)


def wrong_field(timing: Timing) -> str | None:
    """The field of the error; None if the timing comes due."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        due = timing.next_due(now)
    except InvalidInput as error:
        return str(error.details["field"])
    assert due > now
    return None


@given(st.text(max_size=30), st.text(max_size=30))
def test_nonsense_is_named(cron: str, timezone: str):
    assert wrong_field(Timing(cron=cron, timezone=timezone)) in {"cron", "timezone", None}


@given(st.text(alphabet="0123456789*/,-#L² ", max_size=30))
def test_almost_cron_is_named(cron: str):
    assert wrong_field(Timing(cron=cron)) in {"cron", None}


def dues(cron: str, timezone: str, start: datetime, end: datetime) -> list[str]:
    """All due times in between, as wall clocks of the time zone."""
    timing = Timing(cron=cron, timezone=timezone)
    due_times = []
    now = start
    while (now := timing.next_due(now)) < end:
        due_times.append(now.astimezone(ZoneInfo(timezone)).strftime("%d %H:%M"))
    return due_times


def test_clock_put_forward_fires_the_skipped_hour_once():
    day = dues(
        "30 2 * * *",
        "Europe/Berlin",
        datetime(2026, 3, 28, tzinfo=BERLIN),
        datetime(2026, 3, 31, tzinfo=BERLIN),
    )
    assert day == ["28 02:30", "29 03:00", "30 02:30"]


def test_clock_put_back_fires_the_repeated_hour_once():
    day = dues(
        "30 2 * * *",
        "Europe/Berlin",
        datetime(2026, 10, 24, tzinfo=BERLIN),
        datetime(2026, 10, 27, tzinfo=BERLIN),
    )
    assert day == ["24 02:30", "25 02:30", "26 02:30"]


def test_within_the_repeated_hour_the_past_is_not_due_again():
    second_pass = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    due = Timing(cron="30 2 * * *", timezone="Europe/Berlin").next_due(second_pass)
    assert due == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN).astimezone(UTC)


def test_minutes_go_on_in_real_time_over_a_change_of_the_clock():
    start = datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN).astimezone(UTC)
    assert len(dues("*/15 * * * *", "Europe/Berlin", start, start + timedelta(hours=5))) == 19


@pytest.mark.parametrize(
    ("timing", "wrong"),
    [
        (Timing(cron="* * * *"), "cron"),
        (Timing(cron="0 0 0 30 2 *"), "cron"),
        (Timing(cron="61 * * * *"), "cron"),
        (Timing(cron="0 0 30 2 *"), "cron"),
        (Timing(cron="0 0 * * *", timezone="Europe/Atlantis"), "timezone"),
        (Timing(cron="0 0 * * *", timezone="../etc/passwd"), "timezone"),
        (Timing(cron="0 0 * * *", timezone=""), "timezone"),
        (Timing(), "cron"),
        (Timing(cron="0 0 * * *", every_seconds=5), "cron"),
    ],
)
def test_what_cannot_fire_is_refused(timing: Timing, wrong: str):
    assert wrong_field(timing) == wrong


@given(moments, st.integers(0, 86_400))
def test_jitter_is_bounded_and_the_same_everywhere(due: datetime, jitter: int):
    timing = Timing(every_seconds=100_000, jitter_seconds=jitter)
    delay = timing.fires_at(ID, due).astimezone(UTC) - due.astimezone(UTC)
    assert timedelta(0) <= delay <= timedelta(seconds=jitter)
    assert timing.fires_at(ID, due.astimezone(UTC)) == timing.fires_at(ID, due).astimezone(UTC)


def test_message_id_is_the_same_for_the_same_moment_in_any_zone():
    due = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    assert message_id(ID, due) == message_id(ID, due.astimezone(BERLIN))
    assert message_id(ID, due) != message_id(ID, due + timedelta(seconds=1))


def test_catch_up_decides_only_about_what_is_late():
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert firing_outcome(now - timedelta(seconds=59), now, "skip") == "fired"
    assert firing_outcome(now - timedelta(seconds=61), now, "skip") == "missed"
    assert firing_outcome(now - timedelta(seconds=61), now, "once") == "late"


def test_zones_by_name():
    assert time_zone("Europe/Berlin").key == "Europe/Berlin"

"""When quiet hours end, also where clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from pydantic import ValidationError

from services.notifications.quiet_hours.periods import QuietPeriod, quiet_until
from services.notifications.quiet_hours.schemas import PeriodBody

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))
NIGHT = QuietPeriod(EVERY_DAY, time(22), time(7))


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-02T21:59", None),
        ("2026-11-02T22:00", "2026-11-03T07:00"),
        ("2026-11-03T06:59", "2026-11-03T07:00"),
        ("2026-11-03T07:00", None),
        # The nights in which clocks change.
        ("2026-03-28T23:00", "2026-03-29T07:00"),
        ("2026-10-24T23:00", "2026-10-25T07:00"),
    ],
)
def test_a_night_ends_in_the_morning(now: str, end: str | None) -> None:
    expected = at(end).astimezone(UTC) if end else None
    assert quiet_until([NIGHT], BERLIN, at(now)) == expected


def test_periods_that_follow_each_other_count_as_one() -> None:
    weekend = QuietPeriod(frozenset({5, 6}), time(0), time(0))
    friday = at("2026-11-06T23:00")
    assert quiet_until([NIGHT, weekend], BERLIN, friday) == at("2026-11-09T07:00")


def test_what_never_ends_is_left_after_a_week() -> None:
    always = QuietPeriod(EVERY_DAY, time(0), time(0))
    now = at("2026-11-02T12:00")
    until = quiet_until([always], BERLIN, now)
    assert until is not None
    assert timedelta(days=6) < until - now.astimezone(UTC) < timedelta(days=9)


@pytest.mark.parametrize("name", sorted(available_timezones())[::15][:40])
def test_each_night_of_a_year_has_one_end_in_every_zone(name: str) -> None:
    zone = ZoneInfo(name)
    for number in range(0, 365, 3):
        day = date(2026, 1, 1) + timedelta(days=number)
        evening = datetime.combine(day, time(22, 30), zone)
        until = quiet_until([NIGHT], zone, evening)
        assert until is not None
        assert until.astimezone(zone).time() == time(7)
        assert quiet_until([NIGHT], zone, until) is None


def test_a_period_whose_time_has_a_zone_of_its_own_is_refused() -> None:
    with pytest.raises(ValidationError, match="name the time alone"):
        PeriodBody.model_validate({"start": "22:00Z", "end": "06:00"})

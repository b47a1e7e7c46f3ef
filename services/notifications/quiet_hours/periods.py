"""When quiet hours end, as a plain function of a clock.

A period begins and ends at wall-clock times of a zone; one whose end is not after its beginning
goes on into the next day. A time that a clock change leaves out stands for the moment at which the
clock moves past it; one that comes twice stands for its first pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietPeriod:
    """A span of the week.

    Attributes:
        days: on which it begins; Monday is 0.
        start, end: wall-clock times.
    """

    days: frozenset[int]
    start: time
    end: time


def quiet_until(periods: Sequence[QuietPeriod], zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the quiet hours that hold now end, in UTC; None if there are none now.

    Periods that follow each other without a gap count as one, for a week at most.
    """
    end = now.astimezone(UTC)
    latest = end + timedelta(days=7)
    is_quiet = False
    while end < latest:
        later = max((span[1] for span in _spans(periods, zone, end) if span[0] <= end), default=end)
        if later <= end:
            break
        is_quiet = True
        end = later
    return end if is_quiet else None


def _spans(
    periods: Iterable[QuietPeriod], zone: ZoneInfo, moment: datetime
) -> Iterable[tuple[datetime, datetime]]:
    """Beginning and end, in UTC, of the periods that began on the day of a moment or before."""
    today = moment.astimezone(zone).date()
    for period in periods:
        for day in (today - timedelta(days=1), today):
            if day.weekday() in period.days:
                ends_next_day = period.end <= period.start
                last = day + timedelta(days=1) if ends_next_day else day
                yield _moment(day, period.start, zone), _moment(last, period.end, zone)


def _moment(day: date, wall: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, wall, zone).astimezone(UTC)

"""When a schedule comes due: plain functions of the clock they are given.

Cron follows Debian: five fields; what names an hour runs once on a day whose clock is put forward or back, and what
runs every so many minutes goes on in real time. Intervals stay on the grid of their first due time: they never drift.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.errors import InvalidInput

CatchUp = Literal["skip", "once"]
Outcome = Literal["fired", "late", "missed"]

LATE_AFTER: Final = timedelta(minutes=1)
"""A schedule that comes up later than this was not watched; its catch-up policy decides."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When something is due: by a cron expression in a time zone, or every so many seconds; exactly one of them.

    Attributes:
        timezone: IANA name; means nothing for intervals.
        jitter_seconds: each firing is put off by up to this, always by the same for the same due time.
    """

    cron: str | None = None
    every_seconds: int | None = None
    timezone: str = "UTC"
    jitter_seconds: int = 0

    def next_due(self, now: datetime, previous: datetime | None = None) -> datetime:
        """The first due time after `now`, in UTC.

        Args:
            now: aware; the database's clock.
            previous: the due time before; the grid of an interval goes through it, through `now` without it.

        Raises:
            InvalidInput: the expression or the time zone means nothing; the field says which.
        """
        if (self.cron is None) == (self.every_seconds is None):
            raise InvalidInput(
                "A schedule has either cron or every_seconds, and not both.", field="cron"
            )
        if self.every_seconds is not None:
            return _on_grid(self.every_seconds, now, previous)
        return _by_cron(str(self.cron), zone(self.timezone), now)

    def fires_at(self, schedule_id: UUID, due: datetime) -> datetime:
        """The due time with its jitter."""
        due = due.astimezone(
            UTC
        )  # adding to a local time would ignore a change of the clock in between
        digest = blake2b(schedule_id.bytes + due.isoformat().encode(), digest_size=8).digest()
        return due + timedelta(seconds=self.jitter_seconds * int.from_bytes(digest) / 2**64)


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        InvalidInput: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ) as error:  # unknown; not a name at all; the name of a folder
        raise InvalidInput(
            f"There is no time zone {name!r}; name one like Europe/Berlin.", field="timezone"
        ) from error


def outcome(expected: datetime, now: datetime, catch_up: CatchUp) -> Outcome:
    """What becomes of a firing that was expected at one time and found at another."""
    if now.astimezone(UTC) - expected.astimezone(UTC) <= LATE_AFTER:
        return "fired"
    return "late" if catch_up == "once" else "missed"


def message_id(schedule_id: UUID, due: datetime) -> UUID:
    """The id of a firing's message and event: the same however often it has to be sent."""
    return uuid5(NAMESPACE_URL, f"sentineliq:fire:{schedule_id}:{due.astimezone(UTC).isoformat()}")


def _on_grid(every_seconds: int, now: datetime, previous: datetime | None) -> datetime:
    # In UTC, because Python subtracts times of one time zone by their wall clocks.
    every, now, start = (
        timedelta(seconds=every_seconds),
        now.astimezone(UTC),
        (previous or now).astimezone(UTC),
    )
    return start + ((now - start) // every + 1) * every


def _by_cron(expression: str, timezone: ZoneInfo, now: datetime) -> datetime:
    if len(expression.split()) != 5:
        raise InvalidInput(
            "A cron expression has five fields: minute hour day month weekday.", field="cron"
        )
    try:
        for moment in CronSim(expression, now.astimezone(timezone)):
            # An hour that the clock repeats comes from the library as its first pass, which may be behind us.
            if (due := moment.astimezone(UTC)) > now.astimezone(UTC):
                return due
    except (CronSimError, OverflowError) as error:
        raise InvalidInput(
            f"The cron expression {expression!r} cannot be used: {error}.", field="cron"
        ) from error
    raise InvalidInput(f"The cron expression {expression!r} never comes due.", field="cron")

"""The times at which a schedule is due, as plain functions of a clock.

Cron expressions are those of `shared.cron`. Intervals stay on the grid of their first due time and
never drift.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from shared.cron import next_by_cron, time_zone
from shared.errors import InvalidInput

CatchUp = Literal["skip", "once"]
FiringOutcome = Literal["fired", "late", "missed"]

LATE_AFTER: Final = timedelta(minutes=1)
"""After this delay a firing is late, and the schedule's catch-up policy decides."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Due times by a cron expression in a time zone, or by an interval; exactly one is set.

    Attributes:
        timezone: IANA name; intervals do not use it.
        jitter_seconds: most seconds by which a firing is delayed. The delay depends only on the
            schedule and its due time.
    """

    cron: str | None = None
    every_seconds: int | None = None
    timezone: str = "UTC"
    jitter_seconds: int = 0

    def next_due(self, now: datetime, previous: datetime | None = None) -> datetime:
        """The first due time after `now`, in UTC.

        Args:
            now: aware; the database's clock.
            previous: the last due time, or None. The grid of an interval begins there, or at `now`.

        Raises:
            InvalidInput: the expression or the time zone is invalid; `field` names it.
        """
        if (self.cron is None) == (self.every_seconds is None):
            raise InvalidInput(
                "A schedule has either cron or every_seconds, and not both.", field="cron"
            )
        if self.every_seconds is not None:
            return _on_grid(self.every_seconds, now, previous)
        return next_by_cron(str(self.cron), time_zone(self.timezone), now)

    def fires_at(self, schedule_id: UUID, due: datetime) -> datetime:
        """The due time with its jitter."""
        # In UTC: adding to a local time would ignore a change of the clock in between.
        due = due.astimezone(UTC)
        digest = blake2b(schedule_id.bytes + due.isoformat().encode(), digest_size=8).digest()
        return due + timedelta(seconds=self.jitter_seconds * int.from_bytes(digest) / 2**64)


def firing_outcome(expected: datetime, now: datetime, catch_up: CatchUp) -> FiringOutcome:
    """The outcome of a firing that was expected at one time and claimed at another."""
    if now.astimezone(UTC) - expected.astimezone(UTC) <= LATE_AFTER:
        return "fired"
    return "late" if catch_up == "once" else "missed"


def message_id(schedule_id: UUID, due: datetime) -> UUID:
    """The id of a firing's message and event. It is the same if the message is sent again."""
    return uuid5(NAMESPACE_URL, f"sentineliq:fire:{schedule_id}:{due.astimezone(UTC).isoformat()}")


def _on_grid(every_seconds: int, now: datetime, previous: datetime | None) -> datetime:
    # In UTC, because Python subtracts times of one time zone by their wall clocks.
    every = timedelta(seconds=every_seconds)
    now = now.astimezone(UTC)
    start = (previous or now).astimezone(UTC)
    return start + ((now - start) // every + 1) * every

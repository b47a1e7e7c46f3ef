"""One round of a Beat: claim what is due, commit, then send what is recorded.

A crash between the two leaves firings `pending`; the next round of any Beat sends them. A crash
after a message was sent and before that was recorded sends it again with the same id. A message is
a hint: its task may receive it twice.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from prometheus_client import Counter, Histogram
from sqlalchemy.orm import Session

from services.scheduler.beat import repository
from services.scheduler.beat.repository import Advance, DueSchedule, NewFiring, PendingFiring
from services.scheduler.schedules.fired_event import fired_event, rfc3339
from services.scheduler.schedules.timing import (
    LATE_AFTER,
    FiringOutcome,
    firing_outcome,
    message_id,
)
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events import Event
from shared.events.scheduler import Fired
from shared.kafka.outbox import publish
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

CLAIM_BATCH: Final = 1000
SEND_BATCH: Final = 200
"""Messages that a crash at the wrong moment may repeat."""
_SEND_SECONDS: Final = 1.0
"""After that a round records what it has sent, however few: PostgreSQL ends its transaction when it
is silent for longer, and all would be sent again. A slow broker takes few messages in this time."""

_FIRES = Counter("sentineliq_schedule_fires_total", "Schedules that came due.", ["outcome"])
_LATENESS = Histogram(
    "sentineliq_schedule_lateness_seconds",
    "From the time a schedule should fire to its claim.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)


@dataclass(frozen=True, slots=True)
class ClaimCounts:
    """The result of a claim.

    Attributes:
        schedules: number of schedules that were due.
        seconds_to_next: until the next one fires; None if there is none.
    """

    schedules: int
    seconds_to_next: float | None


@dataclass(frozen=True, slots=True)
class _FiringPlan:
    schedule: DueSchedule
    outcome: FiringOutcome
    next_due: datetime
    message_id: UUID

    @property
    def advance(self) -> Advance:
        fires_at = self.schedule.timing.fires_at(self.schedule.id, self.next_due)
        return Advance(self.schedule, self.next_due, fires_at)

    @property
    def new_fire(self) -> NewFiring:
        state = "missed" if self.outcome == "missed" else "pending"
        return NewFiring(self.schedule, state, self.message_id)


def claim_due(database: Database) -> ClaimCounts:
    """Record the firings of up to `CLAIM_BATCH` due schedules, and set each to its next time.

    Both happen in one transaction, together with the events of the firings.
    """
    with database.transaction(PLATFORM) as session:
        repository.prepare(session)
        now, schedules = repository.lock_due(session, CLAIM_BATCH)
        decisions = [_decide(session, schedule, now) for schedule in schedules]
        firings = [firing for firing in decisions if firing is not None]
        if firings:
            repository.advance(session, [firing.advance for firing in firings])
            new = repository.record_firings(session, [firing.new_fire for firing in firings])
            events = [_event(firing, now) for firing in firings if firing.message_id in new]
            publish(session, events)
        wait = repository.seconds_to_next(session)
    for firing in firings:
        _FIRES.labels(firing.outcome).inc()
        _LATENESS.observe((now - firing.schedule.fires_at).total_seconds())
    return ClaimCounts(len(schedules), wait)


def send_pending(
    database: Database,
    send: Callable[[PendingFiring], None],
    full_queues: Collection[str] = (),
) -> int:
    """Send up to `SEND_BATCH` recorded firings, or drop those that are stale; their number.

    To a broker that is slow it sends fewer.

    Args:
        database: the service's.
        send: gives one message to the broker.
        full_queues: queues whose firings wait.

    Raises:
        Unavailable: the broker accepts no more. What it accepted is recorded, the rest is pending.
    """
    sent: list[PendingFiring] = []
    failure: Unavailable | None = None
    with database.transaction(PLATFORM) as session:
        repository.prepare(session)
        pending = repository.lock_pending(session, SEND_BATCH, full_queues)
        missed = [fire for fire in pending if _is_stale(fire)]
        if missed:
            repository.mark_missed(session, missed)
            publish(session, [_missed_event(fire) for fire in missed])
        deadline = time.monotonic() + _SEND_SECONDS
        try:
            for fire in pending:
                if _is_stale(fire):
                    continue
                if time.monotonic() > deadline:
                    break
                send(fire)
                sent.append(fire)
        except Unavailable as error:
            failure = error
        if sent:
            repository.mark_sent(session, sent)
    _FIRES.labels("missed").inc(len(missed))
    if failure is not None:
        raise failure
    return len(missed) + len(sent)


def _is_stale(fire: PendingFiring) -> bool:
    """Whether a firing waited for the broker so long that its catch-up policy drops it.

    Of one schedule's firings only the newest is sent: what was missed is not done one by one. What
    a person fired is always sent.
    """
    if fire.actor != repository.SYSTEM:
        return False
    is_late = fire.waited > LATE_AFTER
    return fire.is_superseded or (is_late and fire.catch_up == "skip")


def _missed_event(fire: PendingFiring) -> Event[Fired]:
    """The second event about a firing: the first said that it was fired."""
    due = rfc3339(fire.due_at)
    missed = Fired(fire.schedule_id, fire.name, fire.task, due, due, "missed")
    return fired_event(fire.tenant, missed, uuid5(fire.message_id, "missed"))


def _decide(session: Session, schedule: DueSchedule, now: datetime) -> _FiringPlan | None:
    """The firing of a due schedule; None if it had to be switched off."""
    try:
        next_due = schedule.timing.next_due(now, schedule.due_at)
    except InvalidInput as error:
        # The API refuses such schedules, but a bad row must never stop the others.
        log.warning(
            "schedule.disabled",
            schedule_id=str(schedule.id),
            tenant=schedule.tenant,
            reason=error.message,
        )
        repository.disable(session, schedule, error.message)
        return None
    outcome = firing_outcome(schedule.fires_at, now, schedule.catch_up)
    return _FiringPlan(schedule, outcome, next_due, message_id(schedule.id, schedule.due_at))


def _event(firing: _FiringPlan, now: datetime) -> Event[Fired]:
    schedule = firing.schedule
    fired = Fired(
        schedule.id,
        schedule.name,
        schedule.task,
        rfc3339(schedule.due_at),
        rfc3339(now),
        firing.outcome,
    )
    return fired_event(schedule.tenant, fired, firing.message_id)

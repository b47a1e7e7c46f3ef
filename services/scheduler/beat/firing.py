"""One round of a Beat: claim what is due, commit, then send what is recorded.

A crash between the two leaves firings that are `pending`; the next round of any Beat sends them. A crash after a
message was sent and before that was recorded sends it again with the same id: a message is a hint, tasks take two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prometheus_client import Counter, Histogram
from sqlalchemy.orm import Session

from services.scheduler.beat import repository
from services.scheduler.beat.repository import Due, Pending
from services.scheduler.schedules.timing import Outcome, message_id, outcome
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events import Event
from shared.events.scheduler import FIRED, Fired
from shared.kafka.outbox import publish
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

CLAIM_BATCH: Final = 1000
SEND_BATCH: Final = 200
"""Messages that a crash at the wrong moment may repeat."""

_FIRES = Counter("sentineliq_schedule_fires_total", "Schedules that came due.", ["outcome"])
_LATENESS = Histogram(
    "sentineliq_schedule_lateness_seconds",
    "From the time a schedule should fire to its claim.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim found.

    Attributes:
        schedules: how many were due.
        seconds_to_next: until the next one fires; None when there is none.
    """

    schedules: int
    seconds_to_next: float | None


@dataclass(frozen=True, slots=True)
class _Firing:
    due: Due
    outcome: Outcome
    next_due: datetime
    message_id: UUID

    @property
    def state(self) -> str:
        return "missed" if self.outcome == "missed" else "pending"


def claim_due(database: Database) -> Claimed:
    """Record the firing of up to `CLAIM_BATCH` due schedules and set each to its next time, in one transaction."""
    with database.transaction(PLATFORM) as session:
        repository.prepare(session)
        now, found = repository.lock_due(session, CLAIM_BATCH)
        firings = [firing for due in found if (firing := _decide(session, due, now)) is not None]
        if firings:
            repository.advance(
                session,
                [(f.due, f.next_due, f.due.timing.fires_at(f.due.id, f.next_due)) for f in firings],
            )
            fresh = repository.record_fires(
                session, [(f.due, f.state, f.message_id) for f in firings]
            )
            publish(session, [_event(f, now) for f in firings if f.message_id in fresh])
        wait = repository.seconds_to_next(session)
    for firing in firings:
        _FIRES.labels(firing.outcome).inc()
        _LATENESS.observe((now - firing.due.fires_at).total_seconds())
    return Claimed(len(found), wait)


def send_pending(database: Database, send: Callable[[Pending], None]) -> int:
    """Send up to `SEND_BATCH` recorded firings; how many went.

    Args:
        database: the service's.
        send: gives one message to the broker.

    Raises:
        Unavailable: the broker took no more; what it took is recorded, the rest stays pending.
    """
    sent: list[Pending] = []
    failure: Unavailable | None = None
    with database.transaction(PLATFORM) as session:
        repository.prepare(session)
        try:
            for pending in repository.lock_pending(session, SEND_BATCH):
                send(pending)
                sent.append(pending)
        except Unavailable as error:
            failure = error
        if sent:
            repository.mark_sent(session, sent)
    if failure is not None:
        raise failure
    return len(sent)


def _decide(session: Session, due: Due, now: datetime) -> _Firing | None:
    try:
        next_due = due.timing.next_due(now, due.due_at)
    except InvalidInput as error:
        # The API lets no such row in, but one bad row must never stop the others.
        log.warning(
            "schedule.disabled", schedule_id=str(due.id), tenant=due.tenant, reason=error.message
        )
        repository.disable(session, due, error.message)
        return None
    return _Firing(
        due, outcome(due.fires_at, now, due.catch_up), next_due, message_id(due.id, due.due_at)
    )


def _event(firing: _Firing, now: datetime) -> Event[Fired]:
    due = firing.due
    said = Fired(due.id, due.name, due.task, rfc3339(due.due_at), rfc3339(now), firing.outcome)
    return fired_event(due.tenant, said, firing.message_id)


def fired_event(tenant: str, fired: Fired, event_id: UUID) -> Event[Fired]:
    """The event of a firing; its id is the message's, so that a repetition is known as one."""
    key = str(fired.schedule_id).encode()
    return Event(
        topic=FIRED,
        data=fired,
        tenant=tenant,
        source="/services/scheduler",
        key=key,
        id=str(event_id),
    )


def rfc3339(moment: datetime) -> str:
    """A time as events carry it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

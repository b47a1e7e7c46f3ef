"""The event of a firing."""

from datetime import UTC, datetime
from uuid import UUID

from shared.events import Event
from shared.events.scheduler import FIRED, Fired
from shared.tenants import PLATFORM, PUBLIC


def fired_event(tenant: str, fired: Fired, event_id: UUID) -> Event[Fired]:
    """The event of a firing. Its id is the message's, so that a repetition is recognised.

    No event is the platform's: the schedules of the code are told as the operators', in `public`.
    """
    key = str(fired.schedule_id).encode()
    return Event(
        topic=FIRED,
        data=fired,
        tenant=PUBLIC if tenant == PLATFORM else tenant,
        source="/services/scheduler",
        key=key,
        id=str(event_id),
    )


def rfc3339(moment: datetime) -> str:
    """A time as events carry it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

"""Events of the scheduler service."""

from typing import Literal
from uuid import UUID

import msgspec

from shared.events.envelope import Topic


class Fired(msgspec.Struct, omit_defaults=True):
    """A schedule came due.

    Attributes:
        task: name of the Celery task.
        due_at, fired_at: RFC 3339.
        state: fired in time, late by more than a minute, or missed (the catch-up policy drops it).
    """

    schedule_id: UUID
    name: str
    task: str
    due_at: str
    fired_at: str
    state: Literal["fired", "late", "missed"] = "fired"


FIRED = Topic("scheduler.fired.v1", Fired, "A schedule fired, was late, or was missed.", "schedule")

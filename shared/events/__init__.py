"""The event catalogue: every topic between services, and the model of its payload.

Within a version a field may be added, never changed or removed. `docs/asyncapi.yaml` is generated
from here.
"""

from typing import Any

from shared.events import audit, feeds, gateway, mitre, notifications, observables, scheduler
from shared.events.envelope import (
    MAX_EVENT_BYTES,
    ConsumedHeaders,
    ConsumedRecord,
    Event,
    FeedRef,
    Headers,
    Topic,
    content_id,
    derived_id,
    now,
    parse,
)

CATALOGUE: tuple[Topic[Any], ...] = (
    feeds.OBSERVED,
    feeds.FINISHED,
    feeds.HEALTH,
    observables.CHANGED,
    observables.APPLIED,
    observables.RESCORED,
    observables.ENRICHED,
    observables.TRENDING,
    observables.LISTS,
    observables.POSTED,
    mitre.RELEASED,
    mitre.TECHNIQUES,
    notifications.DELIVERED,
    scheduler.FIRED,
    gateway.REVOKED,
    audit.RECORDED,
)

__all__ = [
    "CATALOGUE",
    "MAX_EVENT_BYTES",
    "ConsumedHeaders",
    "ConsumedRecord",
    "Event",
    "FeedRef",
    "Headers",
    "Topic",
    "content_id",
    "derived_id",
    "now",
    "parse",
]

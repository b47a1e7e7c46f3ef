"""Kafka topics that notifications reads, and its sweeps."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from services.notifications.channels.service import reseal_secrets
from services.notifications.deliveries.service import wake_if_due
from services.notifications.deliveries.summaries import release_quiet
from services.notifications.digests.service import send_due_digests
from services.notifications.groups.windows import end_due_windows, remind_of_groups
from services.notifications.rules.handlers import RuleMatcher
from services.notifications.topics import EVENT_TOPICS
from shared.events import Event
from shared.events.feeds import HEALTH
from shared.events.gateway import REVOKED
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription
from shared.revocations import apply_revocations
from shared.runtime.sweeps import Sweep
from shared.sealed_rows import RESEAL_SECONDS

_MATCHER: Final = RuleMatcher()

_PACE_SECONDS: Final = 1.0
"""A single event of other topics is told at once; a stream of them, such as of deliveries in a
storm, comes in pieces."""


def _handle_health(session: Session, events: Sequence[Event[Any]]) -> None:
    _MATCHER.handle_health(session, events)
    _MATCHER.topic_handler(EVENT_TOPICS["health"])(session, events)


SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [
    Subscription(CHANGED, _MATCHER.handle_changes, platform=True),
    Subscription(HEALTH, _handle_health, platform=True),
    *[
        Subscription(topic.topic, _MATCHER.topic_handler(topic), platform=True, pace=_PACE_SECONDS)
        for topic in EVENT_TOPICS.values()
        if topic.topic is not HEALTH
    ],
    Subscription(REVOKED, apply_revocations),
]

SWEEPS: Final = [
    Sweep("due-deliveries", 5.0, wake_if_due),
    Sweep("group-windows", 0.5, end_due_windows),
    Sweep("group-reminders", 10.0, remind_of_groups),
    Sweep("quiet-hours", 10.0, release_quiet),
    Sweep("due-digests", 10.0, send_due_digests),
    Sweep("sealed-secrets", RESEAL_SECONDS, reseal_secrets),
]

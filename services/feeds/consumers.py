"""The feeds service reads no topic; its consumer process relays its outbox and runs its sweeps."""

from typing import Any, Final

from services.feeds.runs.service import reconcile, start_due_feeds
from shared.kafka.consumer import Subscription
from shared.runtime.sweeps import Sweep

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

SWEEPS: Final = [
    Sweep("waiting-runs", 10.0, reconcile),
    # Beat starts due feeds every few seconds; without it they start here.
    Sweep("due-feeds", 30.0, start_due_feeds),
]

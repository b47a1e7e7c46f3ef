"""The topic that the scheduler reads, and its sweeps."""

from typing import Any, Final

from services.scheduler.beat.service import return_lost_firings, send_left_firings
from shared.events.gateway import REVOKED
from shared.kafka.consumer import Subscription
from shared.revocations import apply_revocations
from shared.runtime.sweeps import Sweep

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [Subscription(REVOKED, apply_revocations)]

SWEEPS: Final = [
    Sweep("pending-firings", 10.0, send_left_firings),
    Sweep("lost-firings", 10.0, return_lost_firings),
]

"""The scheduler reads no topic; its consumer process relays its outbox and runs its sweeps."""

from typing import Any, Final

from services.scheduler.beat.service import return_lost_firings, send_left_firings
from shared.kafka.consumer import Subscription
from shared.runtime.sweeps import Sweep

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

SWEEPS: Final = [
    Sweep("pending-firings", 10.0, send_left_firings),
    Sweep("lost-firings", 10.0, return_lost_firings),
]

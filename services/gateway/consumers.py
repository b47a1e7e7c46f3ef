"""The gateway reads no topic; its consumer process relays its outbox and runs its sweeps."""

from typing import Any, Final

from shared.kafka.consumer import Subscription
from shared.runtime.sweeps import Sweep

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

SWEEPS: Final[list[Sweep]] = []

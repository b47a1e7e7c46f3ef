"""What the mitre service listens to: nothing yet; its consumer process relays the outbox."""

from typing import Any, Final

from shared.kafka.consumer import Subscription

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

"""The mitre service reads no topic; its consumer process relays its outbox."""

from typing import Any, Final

from shared.kafka.consumer import Subscription

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = []

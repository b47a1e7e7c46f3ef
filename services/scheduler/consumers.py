"""The scheduler reads no topic; its consumer process relays its outbox."""

from typing import Any

from shared.kafka.consumer import Subscription

SUBSCRIPTIONS: list[Subscription[Any]] = []

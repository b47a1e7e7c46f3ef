"""Kafka topics that notifications reads."""

from typing import Any, Final

from services.notifications.rules.handlers import RuleMatcher
from shared.events.feeds import HEALTH
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription

_MATCHER: Final = RuleMatcher()

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [
    Subscription(CHANGED, _MATCHER.handle_changes, platform=True),
    Subscription(HEALTH, _MATCHER.handle_health, platform=True),
]

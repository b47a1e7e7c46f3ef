"""What notifications listens to."""

from typing import Any, Final

from services.notifications.rules.handlers import Alerter
from shared.events.feeds import HEALTH
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription

_ALERTER: Final = Alerter()

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [
    Subscription(CHANGED, _ALERTER.handle, platform=True),
    Subscription(HEALTH, _ALERTER.handle_health, platform=True),
]

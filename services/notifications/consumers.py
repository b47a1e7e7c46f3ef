"""What notifications listens to."""

from typing import Any, Final

from services.notifications.alerting import Alerter
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [Subscription(CHANGED, Alerter().handle, platform=True)]

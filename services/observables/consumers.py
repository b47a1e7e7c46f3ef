"""The events the observables service listens to."""

from typing import Any

from services.observables.attack.handlers import handle_techniques
from services.observables.enrichment.policies.handlers import handle_changed
from services.observables.store.handlers import handle_finished, handle_observed
from shared.events.feeds import FINISHED, OBSERVED
from shared.events.mitre import TECHNIQUES
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription

SUBSCRIPTIONS: list[Subscription[Any]] = [
    Subscription(OBSERVED, handle_observed),
    Subscription(FINISHED, handle_finished),
    Subscription(TECHNIQUES, handle_techniques),
    Subscription(CHANGED, handle_changed),
]

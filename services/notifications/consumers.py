"""Kafka topics that notifications reads, and its sweeps."""

from typing import Any, Final

from services.notifications.channels.service import reseal_secrets
from services.notifications.deliveries.service import wake_if_due
from services.notifications.deliveries.summaries import release_quiet
from services.notifications.digests.service import send_due_digests
from services.notifications.groups.windows import end_due_windows, remind_of_groups
from services.notifications.rules.handlers import RuleMatcher
from shared.events.feeds import HEALTH
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription
from shared.runtime.sweeps import Sweep
from shared.sealed_rows import RESEAL_SECONDS

_MATCHER: Final = RuleMatcher()

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [
    Subscription(CHANGED, _MATCHER.handle_changes, platform=True),
    Subscription(HEALTH, _MATCHER.handle_health, platform=True),
]

SWEEPS: Final = [
    Sweep("due-deliveries", 5.0, wake_if_due),
    Sweep("group-windows", 0.5, end_due_windows),
    Sweep("group-reminders", 10.0, remind_of_groups),
    Sweep("quiet-hours", 10.0, release_quiet),
    Sweep("due-digests", 10.0, send_due_digests),
    Sweep("sealed-secrets", RESEAL_SECONDS, reseal_secrets),
]

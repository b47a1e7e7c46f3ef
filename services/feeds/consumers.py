"""The topics that the feeds service reads, and its sweeps."""

from typing import Any, Final

from services.feeds.runs.accounts import mark_unconfirmed
from services.feeds.runs.full_statements import start_checks
from services.feeds.runs.handlers import handle_applied, handle_posted
from services.feeds.runs.service import reconcile, start_due_feeds
from services.feeds.subscriptions.service import reseal_credentials
from shared.events.gateway import REVOKED
from shared.events.observables import APPLIED, POSTED
from shared.kafka.consumer import Subscription
from shared.revocations import apply_revocations
from shared.runtime.sweeps import Sweep
from shared.sealed_rows import RESEAL_SECONDS

SUBSCRIPTIONS: Final[list[Subscription[Any]]] = [
    Subscription(APPLIED, handle_applied),
    Subscription(POSTED, handle_posted),
    Subscription(REVOKED, apply_revocations),
]

SWEEPS: Final = [
    Sweep("waiting-runs", 10.0, reconcile),
    # Beat starts due feeds every few seconds; without it they start here.
    Sweep("due-feeds", 30.0, start_due_feeds),
    Sweep("unconfirmed-runs", 30.0, mark_unconfirmed),
    Sweep("feed-checks", 300.0, start_checks),
    Sweep("sealed-credentials", RESEAL_SECONDS, reseal_credentials),
]

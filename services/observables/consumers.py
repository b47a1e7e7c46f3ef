"""The events the observables service listens to, and its sweeps."""

from typing import Any, Final

from services.observables.attack.handlers import handle_techniques
from services.observables.backfill import model_change
from services.observables.dissemination.consumers.service import watch_consumers
from services.observables.dissemination.files.service import write_stale_files
from services.observables.dissemination.membership.fill import fill_lists
from services.observables.dissemination.membership.handlers import handle_changes
from services.observables.dissemination.membership.upkeep import check_entries
from services.observables.enrichment.policies.handlers import handle_changed
from services.observables.enrichment.queues.wakeup import wake_if_due
from services.observables.enrichment.settings.service import reseal_keys
from services.observables.pushes import service as pushes
from services.observables.source_values import service as source_values
from services.observables.store import due_scores, expectations
from services.observables.store.handlers import handle_finished, handle_observed
from services.observables.taxii import list_writer, posts
from shared.events.feeds import FINISHED, OBSERVED
from shared.events.gateway import REVOKED
from shared.events.mitre import TECHNIQUES
from shared.events.observables import CHANGED
from shared.kafka.consumer import Subscription
from shared.revocations import apply_revocations
from shared.runtime.sweeps import Sweep
from shared.sealed_rows import RESEAL_SECONDS

_PACE_SECONDS: Final = 0.2
"""Enrichment and lists follow changes within seconds: a stream of single ones comes in pieces."""

SUBSCRIPTIONS: list[Subscription[Any]] = [
    Subscription(OBSERVED, handle_observed, repair=expectations.request_statements),
    Subscription(FINISHED, handle_finished, repair=expectations.request_statements),
    Subscription(TECHNIQUES, handle_techniques),
    Subscription(CHANGED, handle_changed, pace=_PACE_SECONDS),
    Subscription(REVOKED, apply_revocations),
]

LIST_SUBSCRIPTIONS: list[Subscription[Any]] = [
    # A list sees the public observables of all, and its own tenant's.
    Subscription(CHANGED, handle_changes, platform=True, pace=_PACE_SECONDS),
]
"""Of a group of its own: a long list keeps nothing else waiting."""

SWEEPS: Final = [
    Sweep("due-queries", 10.0, wake_if_due),
    Sweep("sealed-keys", RESEAL_SECONDS, reseal_keys),
    # Beat asks for due scores every few seconds; without it they are asked for here.
    Sweep("due-scores", 60.0, due_scores.wake_if_due),
    Sweep("unfinished-model", 30.0, model_change.wake_if_unfinished),
    Sweep("list-fills", 1.0, fill_lists),
    Sweep("list-entries", 2.0, check_entries),
    Sweep("list-files", 1.0, write_stale_files),
    Sweep("list-consumers", 30.0, watch_consumers),
    Sweep("expected-chunks", expectations.SWEEP_SECONDS, expectations.check_expectations),
    Sweep("followed-lists", list_writer.SWEEP_SECONDS, list_writer.follow_lists),
    Sweep("source-values", source_values.SWEEP_SECONDS, source_values.refresh_bitmaps),
    Sweep("due-pushes", pushes.SWEEP_SECONDS, pushes.wake_due),
    Sweep("sealed-pushes", RESEAL_SECONDS, pushes.reseal_credentials),
    Sweep("posted-objects", posts.SWEEP_SECONDS, posts.take_over_waiting),
]

"""Events that trigger policies."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from services.observables.enrichment.policies import repository, selection
from services.observables.enrichment.policies.selection import Candidate
from services.observables.enrichment.policies.triggers import enqueue_candidates
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings.service import accesses_of
from shared.events import Event
from shared.events.observables import ObservablesChanged
from shared.timestamps import parse_timestamp


def handle_changed(session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
    """Store the jobs that a tenant's policies derive from changes; the events are of one tenant."""
    tenant = events[0].tenant
    policies = repository.enabled(session, tenant)
    if not policies:
        return
    accesses = accesses_of(session, tenant)
    candidates: list[Candidate] = []
    for event in events:
        if event.data.is_amendment:
            continue
        at = parse_timestamp(event.time) if event.time else datetime.now(UTC)
        data = event.data
        candidates += selection.candidates(policies, data.source, data.changes, accesses, at)
    if enqueue_candidates(session, tenant, candidates, accesses).requests:
        wake_after_commit(session)

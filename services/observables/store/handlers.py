"""Handlers of feed events: chunks of observed indicators, and ends of runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from services.observables.attack import current_index
from services.observables.reference import context
from services.observables.store import plan as ingest
from services.observables.store import repository
from services.observables.store.chunks import Batch, read, spoken_at
from services.observables.store.events import change_events
from shared.errors import InvalidInput
from shared.events import Event
from shared.events.feeds import IndicatorsObserved, RunFinished
from shared.events.observables import Change
from shared.kafka.outbox import dead_letter, publish
from shared.stix import bucket

Observed = Event[IndicatorsObserved]


def handle_observed(session: Session, events: Sequence[Observed]) -> None:
    """Apply chunks of one tenant; chunks of one run that stand together are applied together."""
    context.reload_if_stale(session)
    current_index.reload_if_stale(session)
    repository.lock(session, {event.data.bucket for event in events})
    for _, together in groupby(
        events, key=lambda event: (event.data.feed, event.data.observed_at, event.data.run_id)
    ):
        _apply(session, list(together))


def _apply(session: Session, events: list[Observed]) -> None:
    tenant, first = events[0].tenant, events[0].data
    observed_at = spoken_at(first.observed_at, datetime.now(UTC))
    if not 0 <= first.confidence <= 100:
        raise InvalidInput(
            f"A confidence of {first.confidence} is not between 0 and 100.", field="confidence"
        )
    source = repository.put_source(session, tenant, first.feed, observed_at)
    batch = Batch(source, {}, {}, {})
    rejected = [_read(session, event, number, batch) for number, event in enumerate(events)]
    buckets = {event.data.bucket for event in events}
    # A chunk may come from a time when its observables had other ids.
    if strays := {bucket(identity) for identity in batch.origin} - buckets:
        repository.lock(session, strays)
        buckets |= strays
    stored = repository.known(session, tenant, list(batch.origin))
    ingest.with_repeats(
        stored, repository.repeats(session, tenant, buckets, observed_at, first.run_id)
    )
    # Whoever says both that it lists something and that it does not, lists it.
    gone = [one for identity, one in batch.gone.items() if identity not in batch.said]
    fresh = {
        one.id: one
        for one in (*gone, *batch.said.values())
        if one.id not in stored or not stored[one.id].own
    }
    contexts = context.describe_values((one.id, one.type, one.value) for one in fresh.values())
    effects = {identity: context.effects(text) for identity, text in contexts.items()}
    plan = ingest.plan(source, batch.said.values(), gone, stored, effects)
    repository.write(session, tenant, source, plan, contexts)
    repository.mark_due(session, tenant, plan.changes, datetime.now(UTC))
    by_chunk: dict[int, list[Change]] = defaultdict(list)
    for change in plan.changes:
        by_chunk[batch.origin[change.id[-36:]]].append(change)
    repeated: dict[int, list[str]] = defaultdict(list)
    for identity in plan.repeated:
        repeated[batch.origin[identity]].append(identity)
    progress = [
        _progress(event, by_chunk[number], rejected[number]) for number, event in enumerate(events)
    ]
    for number, row in enumerate(progress):
        row |= {
            "source_id": first.feed.id,
            "observed_at": observed_at,
            "repeated": ingest.noted(repeated[number]),
        }
    repository.record_chunks(session, progress)
    publish(
        session, change_events(plan.changes, tenant, first.feed.id, first.feed.name, first.run_id)
    )


def _read(session: Session, event: Observed, number: int, batch: Batch) -> int:
    """Collect a chunk's indicators; those that are none go to the dead letters, the rest goes on."""
    problems = read(event.data, number, batch, current_index.attack_ids)
    if problems and event.record is not None:
        reason = (
            f"{len(problems)} indicators cannot be stored; the rest of the chunk was. "
            + "; ".join(problems)
        )
        dead_letter(session, event.record, reason, tenant=event.tenant, topic=event.topic.name)
    return len(problems)


def _progress(event: Observed, changes: list[Change], rejected: int) -> dict[str, Any]:
    data, kinds = event.data, Counter(change.kind for change in changes)
    return {
        "tenant": event.tenant,
        "run_id": data.run_id,
        "bucket": data.bucket,
        "chunk": data.chunk,
        "received": len(data.seen) + len(data.gone),
        "new": kinds["new"],
        "changed": kinds["changed"] + kinds["expired"],
        "rejected": rejected,
    }


def handle_finished(session: Session, events: Sequence[Event[RunFinished]]) -> None:
    """Note that a source confirmed its list; a run that failed or was held back confirms nothing."""
    for event in events:
        if event.data.state in {"succeeded", "unchanged"} and event.data.feed.kind == "snapshot":
            confirmed_at = spoken_at(event.time, datetime.now(UTC))
            repository.confirm_source(session, event.tenant, event.data.feed.id, confirmed_at)

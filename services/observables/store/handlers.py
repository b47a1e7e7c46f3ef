"""Handlers of feed events: chunks of indicators that a run observed, and ends of runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.attack import current_index
from services.observables.reference import context
from services.observables.store import expectations, statements
from services.observables.store.chunks import Batch, read_chunk, run_time
from services.observables.store.incoming import IngestPlan
from services.observables.store.ingest import SourceRun, ingest
from services.observables.store.repository import write
from services.observables.store.repository.relations import put_relations_of_source
from services.observables.store.repository.write import RunChunkRow, pack_ids
from shared.clock import database_now
from shared.database import PUBLIC
from shared.errors import InvalidInput
from shared.events import Event
from shared.events.feeds import IndicatorsObserved, RunFinished
from shared.events.observables import Change
from shared.kafka.outbox import dead_letter
from shared.stix import bucket
from shared.stix.markings import NOT_FOR_ALL_TENANTS, marking_of

Observed = Event[IndicatorsObserved]
_MAX_NUMBER: Final = 2**31 - 1


def handle_observed(session: Session, events: Sequence[Observed]) -> None:
    """Apply chunks of one tenant; neighbouring chunks of one run are applied together."""
    context.reload_if_stale(session)
    current_index.reload_if_stale(session)
    for event in events:
        _check_numbers(event.data)
    write.lock(session, {event.data.bucket for event in events})
    for _, chunks in groupby(events, key=_run_of):
        _apply(session, list(chunks))
    # Last: the rows that this locks are those of all partitions that carry the run.
    runs = {event.data.run_id for event in events}
    expectations.report_applied(session, events[0].tenant, runs)


def _check_numbers(chunk: IndicatorsObserved) -> None:
    """Refuse numbers for which PostgreSQL has no statement: they would be taken for our fault.

    Raises:
        InvalidInput: a number of a stranger's chunk is negative or needs more than 32 bits.
    """
    for name in ("bucket", "chunk", "statement_chunks"):
        number = getattr(chunk, name) or 0
        if not 0 <= number <= _MAX_NUMBER:
            raise InvalidInput(f"{number} is no number of a {name}.", field=name)


def _run_of(event: Observed) -> tuple[object, str, UUID]:
    return event.data.feed, event.data.observed_at, event.data.run_id


def _apply(session: Session, events: list[Observed]) -> None:
    tenant = events[0].tenant
    head = events[0].data
    observed_at = run_time(head.observed_at, database_now(session))
    if not 0 <= head.confidence <= 100:
        raise InvalidInput(
            f"A confidence of {head.confidence} is not between 0 and 100.", field="confidence"
        )
    if tenant == PUBLIC and marking_of(head.tags, head.feed.tlp) in NOT_FOR_ALL_TENANTS:
        raise InvalidInput(
            f"The feed {head.feed.name} is marked for fewer readers than the tenant `public` has.",
            field="feed.tlp",
        )
    # Read the chunks. Indicators that cannot be stored go to the dead letters.
    source = write.put_source(session, tenant, head.feed, observed_at)
    source = source._replace(is_repetition=head.is_repetition, is_amendment=head.is_amendment)
    batch = Batch(source, {}, {}, {}, set(), {})
    rejected = [_read(session, event, number, batch) for number, event in enumerate(events)]
    # A chunk may come from a time when its observables had other ids.
    buckets = {event.data.bucket for event in events}
    if strays := {bucket(identity) for identity in batch.origin} - buckets:
        write.lock(session, strays)
        buckets |= strays
    run = SourceRun(tenant, source, head.run_id)
    statements.retract_superseded(session, run, batch.asserted)
    asserted = list(batch.asserted.values())
    plan = ingest(session, run, asserted, batch.retracted.values(), buckets)
    put_relations_of_source(session, tenant, source.name, observed_at, batch.relations)
    write.record_chunks(session, _progress(events, batch, plan, rejected))
    statements.close_complete(session, run, buckets)


def _read(session: Session, event: Observed, number: int, batch: Batch) -> int:
    """Add a chunk to a batch; return how many of its indicators went to the dead letters."""
    problems = read_chunk(event.data, number, batch, current_index.attack_ids)
    if problems and event.record is not None:
        reason = (
            f"{len(problems)} indicators cannot be stored; the rest of the chunk was. "
            + "; ".join(problems)
        )
        dead_letter(session, event.record, reason, tenant=event.tenant, topic=event.topic.name)
    return len(problems)


def _progress(
    events: Sequence[Observed],
    batch: Batch,
    plan: IngestPlan,
    rejected: Sequence[int],
) -> list[RunChunkRow]:
    """The progress of each chunk, with the reports in it that are noted and not written."""
    origin = batch.origin
    changes: dict[int, list[Change]] = defaultdict(list)
    for change in plan.changes:
        changes[origin[change.id[-36:]]].append(change)
    altered = Counter(origin[identity] for identity in plan.altered)
    repeated: dict[int, list[str]] = defaultdict(list)
    for identity in plan.repeated:
        repeated[origin[identity]].append(identity)
    for identity, number in batch.unstorable.items():
        repeated[number].append(identity)
    rows = []
    for number, event in enumerate(events):
        chunk = event.data
        kinds = Counter(change.kind for change in changes[number])
        rows.append(
            RunChunkRow(
                event.tenant,
                chunk.run_id,
                chunk.bucket,
                chunk.chunk,
                received=len(chunk.seen) + len(chunk.gone),
                new=kinds["new"],
                changed=kinds["changed"] + kinds["expired"],
                rejected=rejected[number],
                source_id=chunk.feed.id,
                observed_at=batch.source.observed_at,
                repeated=pack_ids(repeated[number]),
                altered=kinds["new"] + altered[number],
                statement_chunks=chunk.statement_chunks,
            )
        )
    return rows


def handle_finished(session: Session, events: Sequence[Event[RunFinished]]) -> None:
    """Note what runs published, how their source is described, and that it confirmed its list.

    A run that failed or was quarantined confirms nothing.
    """
    for event in events:
        feed = event.data.feed
        if event.data.state in {"succeeded", "unchanged"}:
            ended_at = run_time(event.time, database_now(session))
            write.put_source(session, event.tenant, feed, ended_at)
            if feed.kind == "snapshot":
                write.confirm_source(session, event.tenant, feed.id, ended_at)
        expectations.expect(session, event.tenant, event.data)

"""Full statements: what a source asserted before, and its complete list leaves out, is over.

A full statement covers one bucket. It is complete when all chunks of the run in that bucket are
applied, in whatever order and transactions. What the source asserted in the bucket before that run,
and neither the run nor a newer one lists, is retracted then, as if the run had named it as gone.
A report of an older run that arrives after that is over as well.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.store.incoming import IncomingAssertion
from services.observables.store.ingest import SourceRun, ingest, retraction, retraction_data
from services.observables.store.repository import repeats, statements
from services.observables.store.repository.statements import BucketCounts, CompleteStatement
from shared.stix import bucket

_ROWS: Final = 2_000
"""Observables that are retracted by one plan."""
_ANY_RUN: Final = UUID(int=0)


def retract_superseded(
    session: Session, run: SourceRun, asserted: Mapping[str, IncomingAssertion]
) -> None:
    """Let newer full statements of the source retract what an older run asserts only now.

    A statement retracted what was stored when it was applied. What this run lists, and what was not
    stored by then, is retracted before it is asserted: as of a run that arrives in its order.

    Args:
        session: a transaction of the tenant's that has locked the buckets of the observables.
        run: the older run.
        asserted: what it asserts, by observable id.
    """
    source = run.source
    later = statements.later_statements(session, run.tenant, source.id, source.observed_at)
    if not later:
        return
    by_moment: dict[datetime, list[IncomingAssertion]] = defaultdict(list)
    for identity, assertion in asserted.items():
        if (moment := later.get(bucket(identity))) is not None:
            by_moment[moment].append(retraction(identity, assertion.type, assertion.value, moment))
    for moment, retracted in sorted(by_moment.items()):
        buckets = {bucket(row.id) for row in retracted}
        ingest(session, run.at(moment), [], retracted, buckets)


def close_complete(session: Session, run: SourceRun, buckets: Collection[int]) -> None:
    """Retract what the run's full statements leave out, in those buckets where it is all applied.

    Args:
        session: a transaction of the tenant's that has locked the buckets, and in which the run's
            chunks are recorded.
        run: the run.
        buckets: where chunks of the run were applied.
    """
    complete = statements.complete_statements(session, run.tenant, run.run_id, buckets)
    if not complete:
        return
    source = run.source.id
    later: dict[int, datetime] = {}
    for moment in {statement.observed_at for statement in complete}:
        later |= statements.later_statements(session, run.tenant, source, moment)
    counts = []
    for statement in complete:
        if statement.bucket in later:
            # A newer one has retracted all that was older than itself.
            counts.append(BucketCounts(statement.bucket, 0, 0))
            continue
        counts.append(_retract_rest(session, run.at(statement.observed_at), statement))
        statements.record_statement(session, run.tenant, source, run.run_id, statement)
    statements.close_statements(session, run.tenant, run.run_id, counts)


def _retract_rest(session: Session, run: SourceRun, statement: CompleteStatement) -> BucketCounts:
    """Retract what a source asserts in a bucket and has not asserted since a full statement."""
    number, moment = statement
    tenant = run.tenant
    source = run.source.id
    ids = statements.ids_listed_before(session, tenant, source, number, moment)
    if ids:
        repeated = _repeated_since(session, run, number)
        ids = [identity for identity in ids if identity not in repeated]
    retracted = 0
    changes = 0
    over = retraction_data(moment)
    for start in range(0, len(ids), _ROWS):
        rows = [
            IncomingAssertion(identity, "", "", over) for identity in ids[start : start + _ROWS]
        ]
        plan = ingest(session, run, [], rows, [number])
        retracted += len(plan.retracted)
        changes += len(plan.changes)
    return BucketCounts(number, retracted, changes)


def _repeated_since(session: Session, run: SourceRun, number: int) -> set[str]:
    """Observables that the source repeated, in this run or a newer one: noted, and not written."""
    notes = repeats.read_repeats(session, run.tenant, [number], run.source.observed_at, _ANY_RUN)
    return {
        str(UUID(bytes=ids[start : start + 16]))
        for source_id, _, ids in notes
        if source_id == run.source.id
        for start in range(0, len(ids), 16)
    }

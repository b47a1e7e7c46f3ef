"""Compare what a source reports with what is stored; write the difference and publish it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.reference import context
from services.observables.store.changes import change_events
from services.observables.store.incoming import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
)
from services.observables.store.plan import build_plan
from services.observables.store.repository import repeats, write
from shared.kafka.outbox import publish


class SourceRun(NamedTuple):
    """The run of a source whose chunks are applied; the source has the time of the run."""

    tenant: str
    source: AssertingSource
    run_id: UUID

    @property
    def source_id(self) -> UUID:
        """The source's id."""
        return UUID(self.source.id)

    def at(self, moment: datetime) -> "SourceRun":
        """The run, with another time."""
        return self._replace(source=self.source._replace(observed_at=moment))


def ingest(
    session: Session,
    run: SourceRun,
    asserted: Sequence[IncomingAssertion],
    retracted: Iterable[IncomingAssertion],
    buckets: Collection[int],
) -> IngestPlan:
    """Apply a source's reports about some observables; the plan that was written.

    Args:
        session: a transaction of the tenant's that has locked the buckets.
        run: the run that reports them.
        asserted: what it lists.
        retracted: what it no longer lists. What it both asserts and retracts, it asserts.
        buckets: of all these observables, and of the chunks that they came in.
    """
    tenant, source, run_id = run
    dropped = list(retracted)
    if dropped:
        listed = {row.id for row in asserted}
        dropped = [row for row in dropped if row.id not in listed]
    ids = [row.id for row in (*asserted, *dropped)]
    states = repeats.read_states_of_run(session, tenant, ids, buckets, source.observed_at, run_id)
    contexts = context.describe_values(
        (row.id, row.type, row.value)
        for row in (*dropped, *asserted)
        if row.id not in states or not states[row.id].own
    )
    effects = {identity: context.effects(text) for identity, text in contexts.items()}
    plan = build_plan(source, asserted, dropped, states, effects)
    write.write_plan(session, tenant, source, plan, contexts)
    write.mark_due(session, tenant, plan.changes)
    changes = change_events(
        plan.changes,
        tenant,
        run.source_id,
        source.name,
        run_id,
        is_amendment=source.is_amendment,
    )
    publish(session, changes)
    return plan


def retraction(identity: str, type_: str, value: str, at: datetime) -> IncomingAssertion:
    """The report that a source does not list an observable."""
    return IncomingAssertion(identity, type_, value, retraction_data(at))


def retraction_data(at: datetime) -> AssertionData:
    """What a retraction says of each of its observables."""
    return AssertionData(0, (), None, at, None, retracted=True)

"""Rows of observables that a person, a sensor or an enricher names, and not a source."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from services.observables.reference import context
from services.observables.scoring.inputs import ScoreUpdate
from services.observables.store.repository import read, write
from services.observables.store.repository.write import NewObservable
from services.observables.store.search_keys import key_of, prefix_of
from shared.stix import Observable


def put(
    session: Session,
    tenant: str,
    observables: Mapping[str, Observable],
    now: datetime,
    *,
    depth: int = 0,
    tlp: str | None = None,
) -> dict[str, str]:
    """Create the tenant's rows of observables where there are none; the buckets are locked.

    Args:
        session: the transaction.
        tenant: the owner of the rows.
        observables: the observables by their UUID.
        now: the time.
        depth: how many answers of enrichers they are away from what a source or a person reported.
        tlp: the marking that they inherit from the observable that the answer was about.

    Returns:
        Their contexts as JSON, by id; those without facts are left out.
    """
    public = public_scores(session, tenant, list(observables), now)
    contexts = context.describe_values(
        (identity, observable.type, observable.value)
        for identity, observable in observables.items()
    )
    rows = []
    for identity, observable in sorted(observables.items()):
        scored = public.get(identity, ScoreUpdate(0, None))
        rows.append(
            NewObservable(
                tenant,
                identity,
                observable.type,
                observable.value,
                scored.score,
                scored.due,
                first_seen=now,
                changed_at=now,
                key=key_of(observable.type, observable.value),
                context=context.decoded(contexts.get(identity, context.NOTHING)),
                prefix=prefix_of(observable.type, observable.value),
                depth=depth,
                tlp=tlp,
            )
        )
    if rows:
        write.put_observables(session, rows)
    return contexts


def public_scores(
    session: Session, tenant: str, ids: Sequence[str], now: datetime
) -> dict[str, ScoreUpdate]:
    """Scores of observables that are public and of which the tenant has no row yet."""
    return {
        identity: state.evaluate(state.newest(now))
        for identity, state in read.read_states(session, tenant, ids).items()
        if not state.own
    }

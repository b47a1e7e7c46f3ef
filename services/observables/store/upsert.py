"""Observables that somebody else than a source speaks of: a person, a sensor, an enricher about another one."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from services.observables.reference import context
from services.observables.sightings import repository as reported
from services.observables.store import plan, repository
from services.observables.store.plan import ScoreUpdate
from services.observables.store.search_keys import key_of, prefix_of
from shared.stix import Observable


def put(
    session: Session,
    tenant: str,
    found: Mapping[str, Observable],
    now: datetime,
    *,
    depth: int = 0,
    tlp: str | None = None,
) -> dict[str, str]:
    """Make rows in the tenant for observables, given by id, where there are none; their buckets are locked.

    Args:
        session: the transaction.
        tenant: whose rows they are.
        found: the observables by their UUID.
        now: the time.
        depth: how many answers of enrichers they are away from what a source or a person said.
        tlp: the marking that they inherit from what the answer was about.

    Returns:
        What offline enrichers found about them, as JSON, by id; nothing about one of which they know nothing.
    """
    known = scores(session, tenant, list(found), now)
    contexts = context.describe_values(
        (identity, one.type, one.value) for identity, one in found.items()
    )
    rows = [
        {
            "tenant": tenant,
            "id": identity,
            "type": one.type,
            "value": one.value,
            "score": known[identity].score if identity in known else 0,
            "due_at": known[identity].due if identity in known else None,
            "first_seen": now,
            "changed_at": now,
            "key": key_of(one.type, one.value),
            "context": context.decoded(contexts.get(identity, context.NOTHING)),
            "prefix": prefix_of(one.type, one.value),
            "depth": depth,
            "tlp": tlp,
        }
        for identity, one in sorted(found.items())
    ]
    if rows:
        reported.put_observables(session, rows)
    return contexts


def scores(
    session: Session, tenant: str, ids: Sequence[str], now: datetime
) -> dict[str, ScoreUpdate]:
    """What observables score of which there is public knowledge, and no row of the tenant's own yet."""
    known = repository.known(session, tenant, ids).items()
    return {
        identity: plan.evaluate(one.type, one.said, one.claims, one.effects, one.newest(now))
        for identity, one in known
        if not one.own
    }

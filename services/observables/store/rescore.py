"""Scores computed again because of time, newer reference data, sightings or answers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.scoring.inputs import ScoreUpdate, evaluate
from services.observables.store.changes import build_change, change_events, is_news
from services.observables.store.repository import read, write
from shared.events.observables import Change
from shared.kafka.outbox import publish

NO_FEED: Final = UUID(int=0)
"""The source of changes that no feed caused."""

_SOON: Final = timedelta(minutes=1)


def rescore(
    session: Session,
    tenant: str,
    ids: Collection[str],
    now: datetime,
    causes: Mapping[str, str] = MappingProxyType({}),
) -> list[Change]:
    """Compute scores as of now and write them; the buckets are locked.

    Args:
        session: the tenant's transaction.
        tenant: the tenant.
        ids: of the observables.
        now: the time of the scores.
        causes: what causes the changes, by observable id; otherwise it is time, since the moment
            at which the score was due.

    Returns:
        The changes to publish.
    """
    changes: list[Change] = []
    scored: list[tuple[str, ScoreUpdate]] = []
    for identity, state in read.read_states(session, tenant, list(ids)).items():
        active = state.active(now)
        fresh = evaluate(state.type, active, state.claims, state.effects, now, state.seen)
        # What had lapsed by the last time was published then.
        have_all_lapsed = bool(state.active_before) and not active
        if is_news(state.score, fresh.score) or (have_all_lapsed and state.score):
            cause = causes.get(identity) or f"due {state.due}"
            changes.append(build_change(identity, state, state, fresh.score, active, now, cause))
        else:
            fresh = fresh._replace(score=state.score)  # the row keeps the score that was published
        if fresh.due is not None and fresh.due <= now:
            fresh = fresh._replace(due=now + _SOON)
        scored.append((identity, fresh))
    write.write_scores(session, tenant, scored, now)
    return changes


def publish_changes(session: Session, tenant: str, changes: Sequence[Change], cause: str) -> None:
    """Publish changes that no feed caused; the buckets are locked.

    Args:
        session: the tenant's transaction.
        tenant: the tenant.
        changes: the changes.
        cause: `time`, `sighting` or `enrichment`.
    """
    write.mark_due(session, tenant, changes)
    publish(session, change_events(changes, tenant, NO_FEED, cause))

"""Scores that are looked at again: because of time, of newer reference data, of what an enricher answered."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.store import plan, repository
from services.observables.store.events import change_events
from services.observables.store.plan import ScoreUpdate
from shared.events.observables import Change
from shared.kafka.outbox import publish

NOBODY: Final = UUID(int=0)
"""The source of changes that no feed caused."""

_SOON: Final = timedelta(minutes=1)


def rescore(session: Session, tenant: str, ids: Collection[str], now: datetime) -> list[Change]:
    """Score observables as of now, and write down what is news; their buckets are locked.

    Returns:
        What is to be announced.
    """
    changes: list[Change] = []
    scored: list[tuple[str, ScoreUpdate]] = []
    for identity, one in repository.known(session, tenant, list(ids)).items():
        active = [stored for stored in one.said if stored.active(now)]
        fresh = plan.evaluate(one.type, active, one.claims, one.effects, now)
        lapsed = len(active) < sum(not stored.retracted for stored in one.said)
        if plan.is_news(one.score, fresh.score) or (lapsed and not active and one.score):
            changes.append(plan.changed(identity, one, fresh.score, active))
        else:
            fresh = fresh._replace(score=one.score)  # what was announced stays what was announced
        if fresh.due is not None and fresh.due <= now:
            fresh = fresh._replace(due=now + _SOON)
        scored.append((identity, fresh))
    repository.write_scores(session, tenant, scored, now)
    return changes


def publish_changes(session: Session, tenant: str, changes: Sequence[Change], cause: str) -> None:
    """Tell of changes that no feed caused: `time`, `sighting` or `enrichment`; their buckets are locked."""
    repository.mark_due(session, tenant, changes, datetime.now(UTC))
    publish(session, change_events(changes, tenant, NOBODY, cause))

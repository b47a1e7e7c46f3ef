"""Stored scores are computed again when the model of scores has changed.

No event tells of single observables: rules were not meant to fire because the arithmetic changed.
One event tells at the end how many scores moved, and how the verdicts were distributed before and
after. Observables are described on the way, because what allow-lists say belongs to the model.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import EVENT_SOURCE
from services.observables.backfill import repository
from services.observables.backfill.repository import ModelState, StoredContext
from services.observables.reference import context
from services.observables.scoring.inputs import ScoreUpdate
from services.observables.scoring.score import verdict
from services.observables.store.changes import is_news
from services.observables.store.repository import read, write
from services.observables.store.set_aside import apply_isolated
from services.observables.worker import celery
from shared.clock import database_now
from shared.database import PLATFORM, PUBLIC, Database, set_tenant
from shared.errors import Unavailable
from shared.events import Event, derived_id
from shared.events.observables import RESCORED, ScoresComputed
from shared.kafka.outbox import publish
from shared.runtime.celery import enqueue_best_effort
from shared.stix import bucket
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

APPLY_MODEL: Final = "observables.tasks.apply_model"
WORK: Final = "model"
_START: Final = f" {UUID(int=0)}"
_CHUNK: Final = 2_000


@dataclass(slots=True)
class ModelCounts:
    """What the new model changed.

    Attributes:
        observables: how many were scored, over all tenants.
        moved: of how many the score moved as far as an event tells at other times.
        before: how many had each verdict.
        after: how many have it now.
    """

    observables: int = 0
    moved: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


def is_unfinished(database: Database) -> bool:
    """Whether stored scores may be of the model before."""
    with database.transaction(PUBLIC) as session:
        return repository.unfinished_model(session) is not None


def wake_if_unfinished(database: Database) -> int:
    """Ask a worker to go on if stored scores may be of the model before; whether they may."""
    if not is_unfinished(database):
        return 0
    enqueue_best_effort(celery, APPLY_MODEL)
    return 1


def apply_model(database: Database, seconds: float = 600) -> bool:
    """Score every observable with the present model; return whether all are.

    What is left after some seconds is done by the next call, which goes on where this one stopped.
    """
    with database.transaction(PUBLIC) as session:
        context.reload_if_stale(session, now=True)
        state = repository.unfinished_model(session)
    if state is None:
        return True
    walk = _ModelWalk(database, state)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tenant, _, after = (walk.progress or _START).partition(" ")
        with database.transaction(PLATFORM) as session:
            rows = repository.next_contexts(session, tenant, after, _CHUNK)
        if not rows:
            _finish(database, state)
            return True
        try:
            for owner in dict.fromkeys(row.tenant for row in rows):
                walk.score(owner, {row.id: row for row in rows if row.tenant == owner})
        except WalkOvertaken as error:
            log.warning("model.walk_overtaken", version=state.version, reason=error.message)
            return False
    return False


class WalkOvertaken(Unavailable):
    """Another worker has gone on from the same place, since this one was frozen for long."""


class _ModelWalk:
    """Scores observables in the order of tenant and id, each of them once.

    Args:
        database: the service's.
        state: how far earlier walks came.

    Attributes:
        progress: where this one is, as it is stored.
    """

    def __init__(self, database: Database, state: ModelState) -> None:
        self._database = database
        self._version = state.version
        self.progress = state.progress

    def score(self, tenant: str, by_id: Mapping[str, StoredContext]) -> None:
        """Score a tenant's next observables, and count what changes in the same transaction.

        Raises:
            WalkOvertaken: another worker goes on; nothing was stored.
        """

        def work(session: Session, ids: Sequence[str]) -> int:
            counts = _score_rows(session, tenant, [by_id[identity] for identity in ids])
            self._advance(session, f"{tenant} {ids[-1]}", counts)
            return counts.observables

        apply_isolated(self._database, tenant, list(by_id), WORK, work)
        end = f"{tenant} {list(by_id)[-1]}"
        if self.progress != end:  # the last ones were set aside
            with self._database.transaction(PUBLIC) as session:
                self._advance(session, end, ModelCounts())

    def _advance(self, session: Session, end: str, counts: ModelCounts) -> None:
        set_tenant(session, self._database.service, PUBLIC)
        verdicts = {"before": counts.before, "after": counts.after}
        is_next = repository.record_model_progress(
            session,
            self._version,
            (self.progress, end),
            counts.observables,
            counts.moved,
            verdicts,
        )
        if not is_next:
            raise WalkOvertaken("Another worker has scored these observables.")
        self.progress = end


def _score_rows(session: Session, tenant: str, rows: Sequence[StoredContext]) -> ModelCounts:
    """Describe and score observables, and publish nothing."""
    write.lock(session, {bucket(row.id) for row in rows})
    now = database_now(session)
    described = context.describe_values((row.id, row.type, row.value) for row in rows)
    changed: dict[str, str] = {}
    for row in rows:
        text = described.get(row.id, context.NOTHING)
        # As objects: the stored text may order its members differently.
        if context.decoded(text) != context.decoded(row.context):
            changed[row.id] = text
    if changed:
        repository.change_contexts(session, tenant, changed, now)
    counts = ModelCounts()
    scored: list[tuple[str, ScoreUpdate]] = []
    for identity, state in read.read_states(session, tenant, [row.id for row in rows]).items():
        fresh = state.evaluate(now)
        counts.observables += 1
        counts.moved += is_news(state.score, fresh.score)
        counts.before[verdict(state.score)] += 1
        counts.after[verdict(fresh.score)] += 1
        if fresh != (state.score, state.due):
            scored.append((identity, fresh))
    write.write_scores(session, tenant, scored, now)
    return counts


def _finish(database: Database, state: ModelState) -> None:
    """Note that all is scored, and tell how much moved; once, even if two workers come here."""
    with database.transaction(PUBLIC) as session:
        finished = repository.finish_model(session, state.version)
        if finished is None:
            return
        verdicts = finished.verdicts
        event_id = derived_id(RESCORED.name, PUBLIC, state.version, finished.since)
        data = ScoresComputed(
            state.version,
            finished.observables,
            finished.moved,
            verdicts.get("before", {}),
            verdicts.get("after", {}),
        )
        if finished.observables:
            event = Event(RESCORED, data, PUBLIC, EVENT_SOURCE, PUBLIC.encode(), event_id)
            publish(session, [event])
    log.info("model.applied", version=state.version, observables=finished.observables)

"""Observables are described again when there is newer reference data."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.backfill import repository
from services.observables.backfill.repository import StoredContext
from services.observables.reference import context
from services.observables.reference import repository as datasets
from services.observables.reference.datasets import BY_NAME
from services.observables.reference.reloading_cache import CHECK_INTERVAL
from services.observables.reference.repository import DatasetState
from services.observables.store import rescore
from services.observables.store.repository import write
from services.observables.store.set_aside import apply_isolated
from shared.database import PLATFORM, PUBLIC, Database
from shared.events import derived_id
from shared.stix import bucket

WORK: Final = "describe"
SETTLE_TIME: Final = timedelta(seconds=2 * CHECK_INTERVAL)
"""Age of new data at which the backfill begins: by then every process describes with it."""

_START: Final = f" {UUID(int=0)}"
_CHUNK: Final = 2_000


def redescribe(
    database: Database, seconds: float = 600, settle_time: timedelta = SETTLE_TIME
) -> int:
    """Describe every observable with the present data; return how many contexts changed.

    It does nothing when all are described, or when the data is younger than `settle_time`. What
    is left after some seconds is done by the next call, which goes on where this one stopped.
    """
    with database.transaction(PUBLIC) as session:
        context.reload_if_stale(session, now=True)
        outdated = [
            state
            for state in datasets.list_states(session)
            if state.name in BY_NAME and state.digest != state.described
        ]
    if not outdated or not _is_settled(outdated, datetime.now(UTC) - settle_time):
        return 0
    changed = 0
    # With the time: what the same data causes when it comes again is another change.
    cause = derived_id(
        *sorted(f"{state.name} {state.digest!r} {state.obtained_at}" for state in outdated)
    )
    deadline = time.monotonic() + seconds
    # A dataset that came while another one was worked on begins anew.
    progress = min(state.progress or _START for state in outdated)
    while time.monotonic() < deadline:
        tenant, _, after = progress.partition(" ")
        with database.transaction(PLATFORM) as session:
            rows = repository.next_contexts(session, tenant, after, _CHUNK)
        if not rows:
            _record(database, outdated, None)
            return changed
        for tenant in dict.fromkeys(row.tenant for row in rows):
            own_rows = [row for row in rows if row.tenant == tenant]
            changed += _describe(database, tenant, own_rows, cause)
        progress = f"{rows[-1].tenant} {rows[-1].id}"
    _record(database, outdated, progress)
    return changed


def _is_settled(outdated: Sequence[DatasetState], latest: datetime) -> bool:
    return all(state.obtained_at is None or state.obtained_at <= latest for state in outdated)


def _record(database: Database, outdated: Sequence[DatasetState], progress: str | None) -> None:
    """Note how far the description of datasets has come; None when it is complete."""
    with database.transaction(PUBLIC) as session:
        for state in outdated:
            if state.digest is None:
                continue
            if progress is None:
                datasets.record_described(session, state.name, state.digest, state.obtained_at)
            else:
                datasets.record_progress(session, state.name, state.digest, progress)


def _describe(database: Database, tenant: str, rows: Sequence[StoredContext], cause: str) -> int:
    """Describe a tenant's observables; store, score and announce those that changed.

    Args:
        database: the service's.
        tenant: the tenant.
        rows: what its observables were described with.
        cause: stands for the data.
    """
    by_id = {row.id: row for row in rows}

    def work(session: Session, ids: Sequence[str]) -> int:
        return _describe_rows(session, tenant, [by_id[identity] for identity in ids], cause)

    return apply_isolated(database, tenant, list(by_id), WORK, work)


def _describe_rows(session: Session, tenant: str, rows: Sequence[StoredContext], cause: str) -> int:
    described = context.describe_values((row.id, row.type, row.value) for row in rows)
    changed: dict[str, str] = {}
    for row in rows:
        fresh = described.get(row.id, context.NOTHING)
        # As objects: the stored text may order its members differently.
        if context.decoded(fresh) != context.decoded(row.context):
            changed[row.id] = fresh
    if not changed:
        return 0
    now = datetime.now(UTC)
    write.lock(session, {bucket(identity) for identity in changed})
    repository.change_contexts(session, tenant, changed, now)
    causes = dict.fromkeys(changed, f"data {cause}")
    changes = rescore.rescore(session, tenant, changed, now, causes)
    rescore.publish_changes(session, tenant, changes, "enrichment")
    return len(changed)

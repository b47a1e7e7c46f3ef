"""SQL of due scores, of rows set aside, of sources, and of the progress of runs."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.store.models import ASSERTION, RUN_CHUNK, SOURCE

_DUE: Final = sa.text(
    "SELECT tenant, id::text FROM observable WHERE due_at <= now() ORDER BY due_at LIMIT :limit"
)

_NOTE_FAILED: Final = sa.text(
    "INSERT INTO failed_row AS noted (tenant, observable_id, work, reason) "
    "VALUES (:tenant, CAST(:id AS uuid), :work, :reason) "
    "ON CONFLICT (tenant, observable_id, work) DO UPDATE SET reason = excluded.reason, "
    "failures = noted.failures + 1, failed_at = now() RETURNING failures"
)
_POSTPONE_DUE: Final = sa.text(
    "UPDATE observable SET due_at = now() + make_interval(hours => :hours) "
    "WHERE tenant = :tenant AND id = CAST(:id AS uuid)"
)


def note_failed_row(session: Session, tenant: str, identity: str, work: str, reason: str) -> int:
    """Note that work on an observable failed because of what its rows hold; how often it has."""
    row = {"tenant": tenant, "id": identity, "work": work, "reason": reason}
    return int(session.execute(_NOTE_FAILED, row).scalar_one())


def postpone_due(session: Session, tenant: str, identity: str, hours: int) -> None:
    """Let the score of an observable be due again in some hours."""
    session.execute(_POSTPONE_DUE, {"tenant": tenant, "id": identity, "hours": hours})


def due_ids(session: Session, limit: int) -> dict[str, list[str]]:
    """Observables whose score is due, by tenant; the oldest first, at most `limit`."""
    by_tenant: dict[str, list[str]] = {}
    for tenant, identity in session.execute(_DUE, {"limit": limit}):
        by_tenant.setdefault(tenant, []).append(identity)
    return by_tenant


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source, and the number of observables that it asserts."""

    tenant: str
    id: UUID
    name: str
    reliability: int
    tlp: str
    observables: int


def sources(session: Session) -> list[SourceRow]:
    """The sources that the tenant sees, in the order of their names."""
    is_asserted = sa.and_(
        ASSERTION.c.tenant == SOURCE.c.tenant,
        ASSERTION.c.source_id == SOURCE.c.id,
        ASSERTION.c.retracted_at.is_(None),
    )
    columns = SOURCE.c.tenant, SOURCE.c.id, SOURCE.c.name, SOURCE.c.reliability, SOURCE.c.tlp
    query = (
        sa.select(*columns, sa.func.count(ASSERTION.c.observable_id))
        .outerjoin(ASSERTION, is_asserted)
        .group_by(SOURCE.c.tenant, SOURCE.c.id)
        .order_by(SOURCE.c.name)
    )
    return [SourceRow(*row) for row in session.execute(query)]


def source_ids(session: Session) -> list[tuple[str, UUID]]:
    """Tenant and id of every source that the transaction sees."""
    query = sa.select(SOURCE.c.tenant, SOURCE.c.id).order_by(SOURCE.c.tenant, SOURCE.c.id)
    return [(row.tenant, row.id) for row in session.execute(query)]


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Sums over the chunks of a run."""

    chunks: int
    received: int
    new: int
    changed: int
    rejected: int


def run_progress(session: Session, run_id: UUID) -> RunProgress:
    """How far a run came."""
    sums = [
        sa.func.coalesce(sa.func.sum(RUN_CHUNK.c[name]), 0)
        for name in ("received", "new", "changed", "rejected")
    ]
    # Notes that migration 0010 moved are no chunks.
    chunks = sa.func.count().filter(RUN_CHUNK.c.chunk >= 0)
    query = sa.select(chunks, *sums).where(RUN_CHUNK.c.run_id == run_id)
    return RunProgress(*session.execute(query).one())

"""SQL of due scores, of sources, and of the progress of runs."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.store.models import ASSERTION, RUN_CHUNK, SOURCE

_DUE: Final = sa.text(
    "SELECT tenant, id::text FROM observable WHERE due_at <= now() ORDER BY due_at LIMIT :limit"
)


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

"""Requests: the jobs that somebody asked for together."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.enrichment.queues.repository.jobs import JOB

_TIME: Final = sa.DateTime(timezone=True)
REQUEST: Final = sa.Table(
    "enrichment_request",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", _TIME),
)
REQUEST_JOB: Final = sa.Table(
    "enrichment_request_job",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("request_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("job_id", pg.UUID(as_uuid=True), primary_key=True),
)
_LINK: Final = sa.text(
    "INSERT INTO enrichment_request_job (tenant, request_id, job_id) "
    "SELECT :tenant, :request, j.id FROM unnest(CAST(:jobs AS uuid[])) j(id) ON CONFLICT DO NOTHING"
)


def put(session: Session, tenant: str, request: UUID, actor: str, jobs: Iterable[UUID]) -> None:
    """Remember which jobs somebody asked for together."""
    session.execute(sa.insert(REQUEST).values(tenant=tenant, id=request, requested_by=actor))
    session.execute(_LINK, {"tenant": tenant, "request": request, "jobs": sorted(set(jobs))})


def one_of(session: Session, tenant: str, request: UUID) -> sa.Row[Any] | None:
    """A request."""
    mine = sa.and_(REQUEST.c.tenant == tenant, REQUEST.c.id == request)
    return session.execute(sa.select(REQUEST).where(mine)).one_or_none()


def jobs_of(session: Session, tenant: str, request: UUID) -> Sequence[sa.Row[Any]]:
    """The jobs of a request."""
    query = sa.select(JOB).join(REQUEST_JOB, REQUEST_JOB.c.job_id == JOB.c.id)
    mine = sa.and_(REQUEST_JOB.c.tenant == tenant, REQUEST_JOB.c.request_id == request)
    return session.execute(query.where(mine).order_by(JOB.c.value, JOB.c.enricher)).all()


def prune(session: Session, days: int) -> None:
    """Forget requests that were made more than some days ago and are left without jobs."""
    old = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    left = sa.select(sa.literal(1)).where(REQUEST_JOB.c.request_id == REQUEST.c.id).exists()
    session.execute(sa.delete(REQUEST).where(REQUEST.c.created_at < old, ~left))

"""The SQL of enrichment requests: jobs that were requested together."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.enrichment.queues.models import JOB, JOB_ROW, JobRow
from services.observables.enrichment.requests.models import REQUEST, REQUEST_JOB, RequestRow

_LINK: Final = sa.text("""
INSERT INTO enrichment_request_job (tenant, request_id, job_id)
SELECT :tenant, :request, job.id FROM unnest(CAST(:jobs AS uuid[])) job(id) ON CONFLICT DO NOTHING
""")


def add(session: Session, tenant: str, request: UUID, actor: str, jobs: Iterable[UUID]) -> None:
    """Store a request and its jobs."""
    session.execute(sa.insert(REQUEST).values(tenant=tenant, id=request, requested_by=actor))
    session.execute(_LINK, {"tenant": tenant, "request": request, "jobs": sorted(set(jobs))})


def get(session: Session, tenant: str, request: UUID) -> RequestRow | None:
    """A request of the tenant."""
    query = sa.select(REQUEST.c.id, REQUEST.c.requested_by, REQUEST.c.created_at)
    query = query.where(REQUEST.c.tenant == tenant, REQUEST.c.id == request)
    row = session.execute(query).one_or_none()
    return RequestRow(*row) if row else None


def jobs_of(session: Session, tenant: str, request: UUID) -> list[JobRow]:
    """The jobs of a request."""
    query = sa.select(*JOB_ROW).join_from(REQUEST_JOB, JOB, REQUEST_JOB.c.job_id == JOB.c.id)
    query = query.where(REQUEST_JOB.c.tenant == tenant, REQUEST_JOB.c.request_id == request)
    rows = session.execute(query.order_by(JOB.c.value, JOB.c.enricher))
    return [JobRow(*row) for row in rows]

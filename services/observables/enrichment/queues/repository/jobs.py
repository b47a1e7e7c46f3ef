"""The SQL of jobs: one query about one value to one provider, from its request to its end."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, get_args
from uuid import UUID, uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.enrichment.queues.models import (
    JOB,
    JOB_ROW,
    OPEN_STATES,
    Job,
    JobEnd,
    JobRequest,
    JobRow,
    QueuePosition,
)
from services.observables.providers.base import Tlp
from shared.clock import database_now

_IS_OPEN: Final = JOB.c.state.in_(sorted(OPEN_STATES))

_ADD: Final = sa.text("""
INSERT INTO enrichment_job (tenant, id, observable_id, type, value, enricher, queue_id, priority,
    tlp, fresh, trial, policy, depth, requested_by)
SELECT :tenant, request.* FROM unnest(CAST(:ids AS uuid[]), CAST(:observables AS uuid[]),
    CAST(:types AS text[]), CAST(:values AS text[]), CAST(:enrichers AS text[]),
    CAST(:queues AS uuid[]), CAST(:priorities AS smallint[]), CAST(:tlps AS text[]),
    CAST(:fresh AS boolean[]), CAST(:trials AS boolean[]), CAST(:policies AS uuid[]),
    CAST(:depths AS smallint[]), CAST(:by AS text[])) request
ON CONFLICT (tenant, observable_id, enricher) WHERE state IN ('waiting', 'running') DO NOTHING
RETURNING id, observable_id::text, enricher
""")
# `line` lists each priority and tenant that waits in the queue, one index probe for each (a loose
# index scan: a DISTINCT would read every waiting job). From each the first due jobs are locked,
# and `turn` deals them out: priorities in order, within one priority a job of each tenant in turn.
_CLAIM: Final = sa.text("""
WITH RECURSIVE line AS (
    (SELECT priority, tenant FROM enrichment_job WHERE queue_id = :queue AND state = 'waiting'
    ORDER BY priority, tenant LIMIT 1)
    UNION ALL
    SELECT following.priority, following.tenant FROM line, LATERAL (
        SELECT job.priority, job.tenant FROM enrichment_job job
        WHERE job.queue_id = :queue AND job.state = 'waiting'
        AND (job.priority, job.tenant) > (line.priority, line.tenant)
        ORDER BY job.priority, job.tenant LIMIT 1) following),
due AS MATERIALIZED (
    SELECT job.id, line.priority,
        row_number() OVER (ORDER BY line.priority, job.place, line.tenant) AS turn
    FROM line, LATERAL (
        SELECT locked.id, row_number() OVER (ORDER BY locked.next_at, locked.id) AS place FROM (
            SELECT id, next_at FROM enrichment_job WHERE queue_id = :queue AND state = 'waiting'
            AND priority = line.priority AND tenant = line.tenant AND next_at <= now()
            ORDER BY next_at, id LIMIT :interactive FOR UPDATE SKIP LOCKED) locked) job)
UPDATE enrichment_job job SET state = 'running', holder = :worker, claims = claims + 1 FROM due
WHERE job.id = due.id AND job.state = 'waiting' AND job.queue_id = :queue
AND due.turn <= CASE due.priority WHEN 0 THEN :interactive ELSE :background END
RETURNING job.id, job.tenant, job.observable_id::text, job.type, job.value, job.enricher,
    job.queue_id, job.priority, job.tlp, job.fresh, job.trial, job.policy, job.depth, job.attempts,
    job.requested_by, due.turn
""")
_REROUTE: Final = sa.text("""
UPDATE enrichment_job job SET state = 'waiting', holder = NULL, claims = 0,
    queue_id = moved.queue_id
FROM unnest(CAST(:ids AS uuid[]), CAST(:queues AS uuid[])) moved(id, queue_id)
WHERE job.id = moved.id AND job.holder = :worker AND job.state = 'running'
""")
_EXPEDITE: Final = sa.text("""
UPDATE enrichment_job SET priority = least(priority, :priority), fresh = fresh OR :fresh,
    next_at = CASE WHEN state = 'waiting' THEN now() ELSE next_at END,
    tlp = CASE WHEN coalesce(array_position(CAST(:tlps AS text[]), tlp), 0)
        >= coalesce(array_position(CAST(:tlps AS text[]), CAST(:tlp AS text)), 0)
        THEN tlp ELSE CAST(:tlp AS text) END
WHERE tenant = :tenant AND id = ANY(:ids) AND state IN ('waiting', 'running')
""")
_REFUSE_UNINSTALLED: Final = sa.text("""
UPDATE enrichment_job SET state = 'refused', reason = CAST(:reason AS jsonb), finished_at = now()
WHERE state = 'waiting'
AND queue_id IN (SELECT id FROM enrichment_queue WHERE enricher <> ALL(:enrichers))
""")
_NOT_INSTALLED: Final = (
    '{"code": "no-access", "message": "The enricher is not installed any more."}'
)
_OPEN_JOBS: Final = sa.text("""
SELECT observable_id::text, enricher, id FROM enrichment_job WHERE tenant = :tenant
AND observable_id = ANY(CAST(:ids AS uuid[])) AND state IN ('waiting', 'running')
""")
# Callers lock buckets before jobs: one order everywhere, so that no two transactions deadlock.
_LOCK_CLAIMED: Final = sa.text("""
SELECT id FROM enrichment_job WHERE id = ANY(:ids) AND holder = :worker AND state = 'running'
ORDER BY id FOR UPDATE
""")
_END: Final = sa.text("""
UPDATE enrichment_job job SET state = ended.state, outcome = ended.outcome, reason = ended.reason,
    attempts = ended.attempts, holder = NULL, claims = 0,
    next_at = now() + make_interval(secs => ended.wait),
    finished_at = CASE WHEN ended.state = 'waiting' THEN NULL ELSE now() END
FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:outcomes AS text[]),
    CAST(:reasons AS jsonb[]), CAST(:waits AS float8[]), CAST(:attempts AS smallint[]))
    ended(id, state, outcome, reason, wait, attempts)
WHERE job.id = ended.id AND job.holder = :worker AND job.state = 'running'
""")


def add(
    session: Session, tenant: str, requests: Sequence[JobRequest]
) -> dict[tuple[str, str], UUID]:
    """Store jobs that are not open already; the stored ones by observable and enricher."""
    if not requests:
        return {}
    ordered = sorted(requests, key=lambda request: (request.observable_id, request.enricher))
    values = {
        "tenant": tenant,
        "ids": [uuid4() for _ in ordered],
        "observables": [request.observable_id for request in ordered],
        "types": [request.type for request in ordered],
        "values": [request.value for request in ordered],
        "enrichers": [request.enricher for request in ordered],
        "queues": [request.queue_id for request in ordered],
        "priorities": [request.priority for request in ordered],
        "tlps": [request.tlp for request in ordered],
        "fresh": [request.fresh for request in ordered],
        "trials": [request.trial for request in ordered],
        "policies": [request.policy for request in ordered],
        "depths": [request.depth for request in ordered],
        "by": [request.requested_by for request in ordered],
    }
    rows = session.execute(_ADD, values)
    return {(observable, enricher): job for job, observable, enricher in rows}


def add_ended(session: Session, tenant: str, ended: Sequence[tuple[JobRequest, JobEnd]]) -> None:
    """Store jobs that have ended already: refused, or answered by a stored answer."""
    if not ended:
        return
    now = database_now(session)
    rows = []
    for request, end in ended:
        row = request._asdict()
        row["observable_id"] = UUID(request.observable_id)
        row["tenant"] = tenant
        row["id"] = end.id
        row["state"] = end.state
        row["outcome"] = end.outcome
        row["reason"] = msgspec.json.decode(end.reason) if end.reason else None
        row["finished_at"] = now
        rows.append(row)
    session.execute(sa.insert(JOB), rows)


def claim(
    session: Session, worker: UUID, queue: UUID, interactive: int, background: int
) -> list[Job]:
    """Claim a queue's next jobs, interactive ones first.

    Args:
        session: a transaction of the platform's.
        worker: the worker.
        queue: a queue that it leases.
        interactive: how many calls may start now.
        background: how many of them may be background work.
    """
    parameters = {
        "worker": worker,
        "queue": queue,
        "interactive": interactive,
        "background": background,
    }
    rows = session.execute(_CLAIM, parameters).all()
    return [Job(*row[:-1]) for row in sorted(rows, key=lambda row: row.turn)]


def lock_claimed(session: Session, worker: UUID, ids: Iterable[UUID]) -> set[UUID]:
    """The jobs that the worker still has; they stay its own until the transaction ends."""
    return set(session.scalars(_LOCK_CLAIMED, {"worker": worker, "ids": sorted(ids)}))


def reroute(session: Session, worker: UUID, queues: Mapping[UUID, UUID]) -> None:
    """Let claimed jobs wait in other queues, by job: their key has changed."""
    if queues:
        parameters = {"worker": worker, "ids": list(queues), "queues": list(queues.values())}
        session.execute(_REROUTE, parameters)


def end(session: Session, worker: UUID, ends: Sequence[JobEnd]) -> None:
    """Store the ends of jobs that the worker has."""
    if not ends:
        return
    values = {
        "worker": worker,
        "ids": [end.id for end in ends],
        "states": [end.state for end in ends],
        "outcomes": [end.outcome for end in ends],
        "reasons": [end.reason for end in ends],
        "waits": [end.wait for end in ends],
        "attempts": [end.attempts for end in ends],
    }
    session.execute(_END, values)


def open_jobs(
    session: Session, tenant: str, observables: Sequence[str]
) -> dict[tuple[str, str], UUID]:
    """Open jobs about observables, by observable and enricher."""
    rows = session.execute(_OPEN_JOBS, {"tenant": tenant, "ids": list(observables)})
    return {(observable, enricher): job for observable, enricher, job in rows}


def expedite(session: Session, tenant: str, ids: Iterable[UUID], request: JobRequest) -> None:
    """Raise open jobs to a request's priority if it is higher; keep the stricter TLP."""
    parameters = {
        "tenant": tenant,
        "ids": sorted(ids),
        "priority": request.priority,
        "fresh": request.fresh,
        "tlp": request.tlp,
        "tlps": list(get_args(Tlp)),
    }
    session.execute(_EXPEDITE, parameters)


def refuse_uninstalled(session: Session, enrichers: Sequence[str]) -> None:
    """Refuse waiting jobs of enrichers other than the installed ones."""
    parameters = {"enrichers": list(enrichers), "reason": _NOT_INSTALLED}
    session.execute(_REFUSE_UNINSTALLED, parameters)


def page(
    session: Session,
    tenant: str,
    state: str | None,
    enricher: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobRow]:
    """A tenant's jobs, the newest first."""
    query = sa.select(*JOB_ROW).where(JOB.c.tenant == tenant)
    if state is not None:
        query = query.where(JOB.c.state == state)
    if enricher is not None:
        query = query.where(JOB.c.enricher == enricher)
    if before is not None:
        query = query.where(sa.tuple_(JOB.c.created_at, JOB.c.id) < before)
    query = query.order_by(JOB.c.created_at.desc(), JOB.c.id.desc()).limit(limit)
    return [JobRow(*row) for row in session.execute(query)]


def position(session: Session, first: JobRow) -> QueuePosition:
    """The position of a tenant's first waiting job in its queue; the session sees all tenants."""
    competes = sa.and_(
        JOB.c.queue_id == first.queue_id,
        JOB.c.state == "waiting",
        JOB.c.priority <= first.priority,
    )
    by_tenant = sa.select(JOB.c.tenant, sa.func.count()).where(competes).group_by(JOB.c.tenant)
    counts: dict[str, int] = dict(map(tuple, session.execute(by_tenant)))
    turn = sa.tuple_(JOB.c.priority, JOB.c.next_at, JOB.c.id)
    is_before = turn <= sa.tuple_(first.priority, first.next_at, first.id)
    own = sa.select(sa.func.count()).where(competes, JOB.c.tenant == first.tenant, is_before)
    running = sa.select(sa.func.count()).where(
        JOB.c.queue_id == first.queue_id, JOB.c.state == "running"
    )
    return QueuePosition(
        session.scalar(running) or 0,
        session.scalar(own) or 0,
        tuple(count for tenant, count in counts.items() if tenant != first.tenant),
    )


def count_open(session: Session, queues: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How many jobs wait and how many are in flight, by queue and state."""
    query = sa.select(JOB.c.queue_id, JOB.c.state, sa.func.count())
    query = query.where(JOB.c.queue_id.in_(queues), _IS_OPEN).group_by(JOB.c.queue_id, JOB.c.state)
    counts: dict[UUID, dict[str, int]] = {}
    for queue, state, count in session.execute(query):
        counts.setdefault(queue, {})[state] = count
    return counts


def cancel(session: Session, tenant: str, ids: Sequence[UUID] | None, enricher: str | None) -> int:
    """Cancel waiting jobs: some, or all of an enricher, or all of the tenant; how many."""
    conditions = [JOB.c.tenant == tenant, JOB.c.state == "waiting"]
    if ids is not None:
        conditions.append(JOB.c.id.in_(ids))
    if enricher is not None:
        conditions.append(JOB.c.enricher == enricher)
    statement = sa.update(JOB).where(*conditions)
    statement = statement.values(state="cancelled", finished_at=sa.func.now())
    return len(session.execute(statement.returning(JOB.c.id)).all())


def move(
    session: Session, tenants: Sequence[str] | None, enricher: str, old: UUID, new: UUID
) -> None:
    """Move waiting jobs to another queue: their key has changed. All tenants' when None."""
    conditions = [JOB.c.queue_id == old, JOB.c.enricher == enricher, JOB.c.state == "waiting"]
    if tenants is not None:
        conditions.append(JOB.c.tenant.in_(tenants))
    session.execute(sa.update(JOB).where(*conditions).values(queue_id=new))

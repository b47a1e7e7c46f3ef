"""The SQL of provider queues: their limiters, and the leases that workers have on them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.enrichment.queues.models import (
    QUEUE,
    Outlook,
    ProviderQueue,
    QueueIdentity,
)
from services.observables.enrichment.rate_limiter import SPENDING_FIELDS, RateLimiter
from shared.database import PLATFORM, set_tenant
from shared.leases import LeasedTable

LEASE_SECONDS: Final = 4.0
"""Seconds after which another worker may lease the queue of a silent one."""

_LEASES: Final = LeasedTable(QUEUE, lease=timedelta(seconds=LEASE_SECONDS))

# A queue is due if its limiter allows background work and its first open job is due, or if it
# allows interactive work and a person waits. A `running` job counts: its worker may be lost.
_IS_DUE: Final = """(
((background_from IS NULL OR background_from <= now() + make_interval(secs => :ahead))
AND (SELECT job.next_at FROM enrichment_job job
    WHERE job.queue_id = enrichment_queue.id AND job.state IN ('waiting', 'running')
    ORDER BY job.next_at LIMIT 1) <= now() + make_interval(secs => :ahead))
OR ((interactive_from IS NULL OR interactive_from <= now() + make_interval(secs => :ahead))
AND EXISTS (SELECT FROM enrichment_job job
    WHERE job.queue_id = enrichment_queue.id AND job.state = 'waiting' AND job.priority = 0
    AND job.next_at <= now() + make_interval(secs => :ahead)))
)"""
_HAS_INTERACTIVE: Final = sa.literal_column(
    "EXISTS (SELECT FROM enrichment_job job WHERE job.queue_id = enrichment_queue.id "
    "AND job.state = 'waiting' AND job.priority = 0)",
    sa.Boolean,
)
# Jobs of a lost worker are tried again; a job that several workers were lost with fails.
_RECOVER: Final = sa.text("""
UPDATE enrichment_job SET holder = NULL,
    state = CASE WHEN claims >= :most THEN 'failed' ELSE 'waiting' END,
    finished_at = CASE WHEN claims >= :most THEN now() END,
    reason = CASE WHEN claims >= :most THEN CAST(:reason AS jsonb) ELSE reason END
WHERE queue_id = ANY(:queues) AND state = 'running'
""")
_MOST_CLAIMS: Final = 5
_WORKERS_LOST: Final = (
    '{"code": "workers-lost", "message": "Every worker that asked this was lost."}'
)
# One statement renews all leases of a worker; each queue has a limiter of its own to store.
_SAVE: Final = sa.text("""
UPDATE enrichment_queue queue SET lease_until = now() + make_interval(secs => :lease),
    limiter = queue.limiter || fresh.limiter
FROM unnest(CAST(:ids AS uuid[]), CAST(:limiters AS jsonb[])) fresh(id, limiter)
WHERE queue.id = fresh.id AND queue.holder = :worker RETURNING queue.id
""")
_RELEASE: Final = sa.text("""
UPDATE enrichment_queue SET holder = NULL, lease_until = NULL, limiter = CAST(:limiter AS jsonb),
    interactive_from = :interactive_from, background_from = :background_from
WHERE id = :id AND holder = :worker
""")
_HAS_FREE: Final = sa.text(
    "SELECT EXISTS (SELECT FROM enrichment_queue "  # noqa: S608  # constants only
    "WHERE (holder IS NULL OR lease_until < now()) "
    f"AND {_IS_DUE} AND enricher = ANY(:enrichers))"
)
_OUTLOOK: Final = sa.text(f"""
SELECT EXISTS (SELECT FROM enrichment_queue WHERE {_IS_DUE} AND enricher = ANY(:enrichers)),
    EXISTS (SELECT FROM enrichment_queue WHERE holder <> :worker
        AND lease_until >= now() + make_interval(secs => :renewed)),
    EXISTS (SELECT FROM enrichment_queue WHERE holder <> :worker
        AND lease_until BETWEEN now() AND now() + make_interval(secs => :renewed))
""")  # noqa: S608  # constants only


def decode_limiter(document: Any) -> RateLimiter:
    """A limiter from its stored JSON."""
    return msgspec.convert(document, RateLimiter)


def _encode_part(limiter: RateLimiter, *, spending: bool) -> str:
    """The fields that claiming changes, or the others.

    Two transactions that run at once must not undo each other's changes.
    """
    part = {
        name: value
        for name, value in msgspec.structs.asdict(limiter).items()
        if (name in SPENDING_FIELDS) == spending
    }
    return msgspec.json.encode(part).decode()


def ensure(
    session: Session, service: str, tenant: str, identities: Iterable[QueueIdentity]
) -> None:
    """Create queues that do not exist yet; the transaction goes on as the tenant's."""
    queues = {identity.id: identity for identity in identities}
    existing = set(session.scalars(sa.select(QUEUE.c.id).where(QUEUE.c.id.in_(queues))))
    rows = []
    for queue in sorted(queues.keys() - existing):
        row = queues[queue]._asdict()
        row["tenant"] = row.pop("owner")
        rows.append(row)
    if rows:
        # The queue of an installation, or of the operators' key, is not the tenant's to write.
        set_tenant(session, service, PLATFORM)
        session.execute(insert(QUEUE).on_conflict_do_nothing(), rows)
        set_tenant(session, service, tenant)


def lease(
    session: Session, worker: UUID, enrichers: Sequence[str], limit: int
) -> list[ProviderQueue]:
    """Lease free queues that have work now; the jobs of their lost workers wait again."""
    is_due = sa.text(_IS_DUE).bindparams(ahead=0.0)
    is_free = sa.and_(
        is_due, QUEUE.c.enricher.in_(enrichers), QUEUE.c.holder.is_distinct_from(worker)
    )
    order = [_HAS_INTERACTIVE.desc(), QUEUE.c.lease_until.nulls_first()]
    rows = _LEASES.claim(session, worker, limit=limit, where=is_free, order_by=order)
    queues = [
        ProviderQueue(row.tenant, row.id, row.enricher, row.key_id, decode_limiter(row.limiter))
        for row in rows
    ]
    if queues:
        ids = [queue.id for queue in queues]
        parameters = {"queues": ids, "most": _MOST_CLAIMS, "reason": _WORKERS_LOST}
        session.execute(_RECOVER, parameters)
    return queues


def save(
    session: Session, worker: UUID, limiters: Mapping[UUID, RateLimiter], *, spending: bool = True
) -> set[UUID]:
    """Renew leases and store limiters.

    Args:
        session: the transaction.
        worker: the worker.
        limiters: by queue.
        spending: store the fields that claiming changes, or else those that outcomes change.

    Returns:
        The queues that the worker still leases.
    """
    if not limiters:
        return set()
    ids = sorted(limiters)
    parameters = {
        "worker": worker,
        "ids": ids,
        "limiters": [_encode_part(limiters[queue], spending=spending) for queue in ids],
        "lease": LEASE_SECONDS,
    }
    return set(session.scalars(_SAVE, parameters))


def release(
    session: Session,
    worker: UUID,
    queue: UUID,
    limiter: RateLimiter,
    interactive_from: datetime | None,
    background_from: datetime | None,
) -> None:
    """Release a queue, and store when it may be leased for work again."""
    parameters = {
        "worker": worker,
        "id": queue,
        "limiter": msgspec.json.encode(limiter).decode(),
        "interactive_from": interactive_from,
        "background_from": background_from,
    }
    session.execute(_RELEASE, parameters)


def outlook(
    session: Session, worker: UUID, enrichers: Sequence[str], ahead: float, renewed: float
) -> Outlook:
    """The work to expect within `ahead` seconds.

    A lease with at least `renewed` seconds left was renewed lately.
    """
    parameters = {
        "worker": worker,
        "enrichers": list(enrichers),
        "ahead": ahead,
        "renewed": renewed,
    }
    return Outlook(*session.execute(_OUTLOOK, parameters).one())


def has_free(session: Session, enrichers: Sequence[str]) -> bool:
    """Whether a queue without a worker has work now."""
    return bool(session.scalar(_HAS_FREE, {"enrichers": list(enrichers), "ahead": 0.0}))


def by_id(session: Session, ids: Sequence[UUID]) -> list[ProviderQueue]:
    """Queues and their limiters."""
    columns = (QUEUE.c.tenant, QUEUE.c.id, QUEUE.c.enricher, QUEUE.c.key_id, QUEUE.c.limiter)
    return [
        ProviderQueue(*row[:-1], decode_limiter(row.limiter))
        for row in session.execute(sa.select(*columns).where(QUEUE.c.id.in_(ids)))
    ]


def recheck(session: Session, queue: UUID) -> None:
    """Let workers look at a queue now: its limits have changed since it was released."""
    statement = sa.update(QUEUE).where(QUEUE.c.id == queue)
    session.execute(statement.values(interactive_from=None, background_from=None))


def unblock_key(session: Session, queue: UUID) -> None:
    """Lift the block of a refused key; other blocks stay."""
    unblocked = sa.func.jsonb_build_object(
        "blocked_until", 0, "blocked_for", None, "failures", 0, "blocks", 0, "reason", None
    )
    is_refused = QUEUE.c.limiter["blocked_for"].astext == "key"
    statement = sa.update(QUEUE).where(QUEUE.c.id == queue, is_refused)
    session.execute(
        statement.values(
            limiter=QUEUE.c.limiter.op("||")(unblocked),
            interactive_from=None,
            background_from=None,
        )
    )

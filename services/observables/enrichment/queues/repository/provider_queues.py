"""Lanes: what a provider counts by, and which worker holds it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.enrichment.rate_limiter import SPENT, RateLimiter
from shared.database import PLATFORM, set_tenant

QUEUE: Final = sa.Table(
    "enrichment_lane",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("enricher", sa.Text),
    sa.Column("key_id", pg.UUID(as_uuid=True)),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("meter", pg.JSONB),
    sa.Column("clicks_from", sa.DateTime(timezone=True)),
    sa.Column("others_from", sa.DateTime(timezone=True)),
)

_DUE: Final = (
    "(((l.others_from IS NULL OR l.others_from <= now() + make_interval(secs => :ahead)) "
    "AND (SELECT j.next_at FROM enrichment_job j WHERE j.lane = l.id AND j.state IN ('waiting', 'running') "
    "ORDER BY j.next_at LIMIT 1) <= now() + make_interval(secs => :ahead)) "
    "OR ((l.clicks_from IS NULL OR l.clicks_from <= now() + make_interval(secs => :ahead)) "
    "AND EXISTS (SELECT FROM enrichment_job j WHERE j.lane = l.id AND j.state = 'waiting' AND j.priority = 0 "
    "AND j.next_at <= now() + make_interval(secs => :ahead))))"
)
# A subquery in FROM may be the inner side of a nested loop: run again for each lane, its limit would count for nothing.
_ACQUIRE: Final = sa.text(
    "WITH free AS MATERIALIZED ("  # noqa: S608
    f"SELECT id FROM enrichment_lane l WHERE (holder IS NULL OR lease_until < now()) AND {_DUE} "
    "AND enricher = ANY(:enrichers) AND holder IS DISTINCT FROM :me "
    "ORDER BY EXISTS (SELECT FROM enrichment_job j WHERE j.lane = l.id AND j.state = 'waiting' "
    "AND j.priority = 0) DESC, lease_until NULLS FIRST LIMIT :most FOR UPDATE SKIP LOCKED) "
    "UPDATE enrichment_lane lane SET holder = :me, lease_until = now() + make_interval(secs => :lease) FROM free "
    "WHERE lane.id = free.id RETURNING lane.tenant, lane.id, lane.enricher, lane.key_id, lane.meter"
)
# What the lane's last holder was asking when it was lost is asked again; what has cost a few holders is not.
_RECOVER: Final = sa.text(
    "UPDATE enrichment_job SET holder = NULL, "
    "state = CASE WHEN taken >= :most THEN 'failed' ELSE 'waiting' END, "
    "finished_at = CASE WHEN taken >= :most THEN now() END, "
    "reason = CASE WHEN taken >= :most THEN CAST(:why AS jsonb) ELSE reason END "
    "WHERE lane = ANY(:lanes) AND state = 'running'"
)
_MOST_TAKEN: Final = 5
_LOST: Final = '{"code": "workers-lost", "message": "Every worker that asked this was lost."}'
_SAVE: Final = sa.text(
    "UPDATE enrichment_lane lane SET lease_until = now() + make_interval(secs => :lease), "
    "meter = lane.meter || fresh.meter "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:meters AS jsonb[])) fresh(id, meter) "
    "WHERE lane.id = fresh.id AND lane.holder = :me RETURNING lane.id"
)
_RELEASE: Final = sa.text(
    "UPDATE enrichment_lane SET holder = NULL, lease_until = NULL, meter = CAST(:meter AS jsonb), "
    "clicks_from = :clicks_from, others_from = :others_from WHERE id = :id AND holder = :me"
)
_FREE: Final = sa.text(
    "SELECT EXISTS (SELECT FROM enrichment_lane l WHERE (holder IS NULL OR lease_until < now()) "  # noqa: S608
    f"AND {_DUE} AND enricher = ANY(:enrichers))"
)
_ANYTHING: Final = sa.text(
    f"SELECT EXISTS (SELECT FROM enrichment_lane l WHERE {_DUE} AND enricher = ANY(:enrichers)), "  # noqa: S608
    "EXISTS (SELECT FROM enrichment_lane l WHERE holder <> :me "
    "AND lease_until >= now() + make_interval(secs => :renewed)), "
    "EXISTS (SELECT FROM enrichment_lane l WHERE holder <> :me "
    "AND lease_until BETWEEN now() AND now() + make_interval(secs => :renewed))"
)


class ProviderQueue(NamedTuple):
    """A lane as it was acquired.

    Attributes:
        tenant: whose key it is; `public` also where there is no key.
    """

    tenant: str
    id: UUID
    enricher: str
    key_id: UUID | None
    limiter: RateLimiter


def limiter_of(stored: Any) -> RateLimiter:
    """A meter from its JSON."""
    return msgspec.convert(stored, RateLimiter)


def _encoded(limiter: RateLimiter) -> str:
    return msgspec.json.encode(limiter).decode()


def _part(limiter: RateLimiter, *, spent: bool) -> str:
    """What taking changes of a meter, or what answers do: two transactions at once must not undo each other's."""
    kept = {
        name: value
        for name, value in msgspec.structs.asdict(limiter).items()
        if (name in SPENT) == spent
    }
    return msgspec.json.encode(kept).decode()


def ensure(
    session: Session, service: str, tenant: str, lanes: Iterable[tuple[UUID, str, str, UUID | None]]
) -> None:
    """Make lanes that are not there: id, tenant, enricher, key. The transaction goes on as the tenant's."""
    wanted = {one[0]: one for one in lanes}
    there = set(session.scalars(sa.select(QUEUE.c.id).where(QUEUE.c.id.in_(wanted))))
    missing = [wanted[one] for one in sorted(wanted.keys() - there)]
    if missing:
        # The lane of an installation or of the operators' key is not the tenant's to write.
        set_tenant(session, service, PLATFORM)
        columns = ("id", "tenant", "enricher", "key_id")
        rows = [dict(zip(columns, one, strict=True)) for one in missing]
        session.execute(insert(QUEUE).on_conflict_do_nothing(), rows)
        set_tenant(session, service, tenant)


def acquire(
    session: Session, me: UUID, enrichers: Sequence[str], most: int, lease: float
) -> list[ProviderQueue]:
    """Take lanes that nobody holds and that have work now; what their last holders left under way waits again."""
    asked = {"me": me, "enrichers": list(enrichers), "most": most, "lease": lease, "ahead": 0.0}
    rows = session.execute(_ACQUIRE, asked).all()
    found = [
        ProviderQueue(row.tenant, row.id, row.enricher, row.key_id, limiter_of(row.meter))
        for row in rows
    ]
    if found:
        session.execute(
            _RECOVER, {"lanes": [one.id for one in found], "most": _MOST_TAKEN, "why": _LOST}
        )
    return found


def save(
    session: Session,
    me: UUID,
    limiters: Mapping[UUID, RateLimiter],
    lease: float,
    *,
    spent: bool = True,
) -> set[UUID]:
    """Renew the leases and keep what was spent, or else what answers said; ids of the lanes that are still ours."""
    ids = sorted(limiters)
    asked = {
        "me": me,
        "ids": ids,
        "meters": [_part(limiters[one], spent=spent) for one in ids],
        "lease": lease,
    }
    return set(session.scalars(_SAVE, asked)) if ids else set()


def release(
    session: Session,
    me: UUID,
    lane: UUID,
    limiter: RateLimiter,
    clicks_from: datetime | None,
    others_from: datetime | None,
) -> None:
    """Let go of a lane, and say when there may be calls again."""
    asked = {
        "me": me,
        "id": lane,
        "meter": _encoded(limiter),
        "clicks_from": clicks_from,
        "others_from": others_from,
    }
    session.execute(_RELEASE, asked)


class Outlook(NamedTuple):
    """What there is to expect.

    Attributes:
        soon: whether any lane has work within some seconds.
        others: whether anybody else holds a lane.
        fading: whether anybody does who has not renewed his lease lately, and may be lost.
    """

    soon: bool
    others: bool
    fading: bool


def outlook(
    session: Session, me: UUID, enrichers: Sequence[str], ahead: float, renewed: float
) -> Outlook:
    """What there is to expect; a lease that has `renewed` seconds left was renewed lately."""
    asked = {"me": me, "enrichers": list(enrichers), "ahead": ahead, "renewed": renewed}
    return Outlook(*session.execute(_ANYTHING, asked).one())


def free(session: Session, enrichers: Sequence[str]) -> bool:
    """Whether there is work now in a lane that nobody holds."""
    return bool(session.scalar(_FREE, {"enrichers": list(enrichers), "ahead": 0.0}))


def states(session: Session, ids: Sequence[UUID]) -> Sequence[sa.Row[Any]]:
    """What lanes have used and what holds them back."""
    return session.execute(sa.select(QUEUE).where(QUEUE.c.id.in_(ids))).all()


def recheck(session: Session, lane: UUID) -> None:
    """Let a lane be looked at now: its limits are others than when it was let go."""
    session.execute(
        sa.update(QUEUE).where(QUEUE.c.id == lane).values(clicks_from=None, others_from=None)
    )


def reopen(session: Session, lane: UUID) -> None:
    """Let a lane be tried whose key was refused; what else holds it back is not for us to forget."""
    limiter = sa.func.jsonb_build_object(
        "blocked_until", 0, "blocked_for", None, "failures", 0, "blocks", 0, "reason", None
    )
    refused = QUEUE.c.meter["blocked_for"].astext == "key"
    values = {"meter": QUEUE.c.meter.op("||")(limiter), "clicks_from": None, "others_from": None}
    session.execute(sa.update(QUEUE).where(QUEUE.c.id == lane, refused).values(**values))

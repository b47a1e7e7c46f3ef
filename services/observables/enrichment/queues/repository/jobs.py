"""Jobs: one question about one value to one provider, from being asked to its end."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, get_args
from uuid import UUID, uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.providers.base import Tlp

INTERACTIVE, PLAYBOOK, BACKGROUND = 0, 1, 2
"""Whose turn comes first: somebody waits for it, a playbook does, nobody does."""

_TIME: Final = sa.DateTime(timezone=True)
JOB: Final = sa.Table(
    "enrichment_job",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("observable_id", pg.UUID(as_uuid=True)),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text(collation="C")),
    sa.Column("enricher", sa.Text),
    sa.Column("lane", pg.UUID(as_uuid=True)),
    sa.Column("priority", sa.SmallInteger),
    sa.Column("state", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Column("tlp", sa.Text),
    sa.Column("fresh", sa.Boolean),
    sa.Column("trial", sa.Boolean),
    sa.Column("policy", pg.UUID(as_uuid=True)),
    sa.Column("depth", sa.SmallInteger),
    sa.Column("attempts", sa.SmallInteger),
    sa.Column("taken", sa.SmallInteger),
    sa.Column("next_at", _TIME),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("reason", pg.JSONB),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("finished_at", _TIME),
)
_OPEN: Final = JOB.c.state.in_(["waiting", "running"])


class JobRequest(NamedTuple):
    """A question that is to be asked.

    Attributes:
        observable_id: the observable's UUID.
        tlp: the marking that whoever asks gives the value; None when it is for its sources to say.
        fresh: ask although there is an answer that is good enough.
        trial: only the provider and the key are tried; the answer is about nothing that matters.
        policy: that asks without anybody having been asked.
        depth: how many answers the value is away from what a source or a person said.
    """

    observable_id: str
    type: str
    value: str
    enricher: str
    lane: UUID
    priority: int
    requested_by: str
    tlp: str | None = None
    fresh: bool = False
    trial: bool = False
    policy: UUID | None = None
    depth: int = 0


class Job(NamedTuple):
    """A job that this worker holds."""

    id: UUID
    tenant: str
    observable_id: str
    type: str
    value: str
    enricher: str
    lane: UUID
    priority: int
    tlp: str | None
    fresh: bool
    trial: bool
    policy: UUID | None
    depth: int
    attempts: int
    requested_by: str


class Ended(NamedTuple):
    """What becomes of a job: its end, or another try.

    Attributes:
        state: done, refused, failed, or waiting again.
        outcome: of one that is done: found, unknown, cached.
        wait: seconds until the next try of one that waits.
        attempts: tries that failed so far.
    """

    id: UUID
    state: str
    outcome: str | None = None
    reason: str | None = None
    wait: float = 0.0
    attempts: int = 0


_ADD: Final = sa.text(
    "INSERT INTO enrichment_job (tenant, id, observable_id, type, value, enricher, lane, priority, tlp, fresh, trial, "
    "policy, depth, requested_by) SELECT :tenant, w.* FROM unnest(CAST(:ids AS uuid[]), CAST(:observables AS uuid[]), "
    "CAST(:types AS text[]), CAST(:values AS text[]), CAST(:enrichers AS text[]), CAST(:lanes AS uuid[]), "
    "CAST(:priorities AS smallint[]), CAST(:tlps AS text[]), CAST(:fresh AS boolean[]), "
    "CAST(:trials AS boolean[]), CAST(:policies AS uuid[]), "
    "CAST(:depths AS smallint[]), CAST(:by AS text[])) w "
    "ON CONFLICT (tenant, observable_id, enricher) WHERE state IN ('waiting', 'running') DO NOTHING "
    "RETURNING id, observable_id::text, enricher"
)
# Tenants that share a lane take turns; within a tenant it is first come, first served.
_TAKE: Final = sa.text(
    "WITH RECURSIVE line AS ("
    "(SELECT priority, tenant FROM enrichment_job WHERE lane = :lane AND state = 'waiting' "
    "ORDER BY priority, tenant LIMIT 1) UNION ALL "
    "SELECT n.priority, n.tenant FROM line, LATERAL (SELECT j.priority, j.tenant FROM enrichment_job j "
    "WHERE j.lane = :lane AND j.state = 'waiting' AND (j.priority, j.tenant) > (line.priority, line.tenant) "
    "ORDER BY j.priority, j.tenant LIMIT 1) n), "
    "due AS MATERIALIZED (SELECT j.id, line.priority, "
    "row_number() OVER (ORDER BY line.priority, j.place, line.tenant) AS turn "
    "FROM line, LATERAL (SELECT f.id, row_number() OVER (ORDER BY f.next_at, f.id) AS place FROM ("
    "SELECT id, next_at FROM enrichment_job WHERE lane = :lane AND state = 'waiting' AND priority = line.priority "
    "AND tenant = line.tenant AND next_at <= now() ORDER BY next_at, id LIMIT :clicks "
    "FOR UPDATE SKIP LOCKED) f) j) "
    "UPDATE enrichment_job job SET state = 'running', holder = :me, taken = taken + 1 FROM due "
    "WHERE job.id = due.id AND job.state = 'waiting' AND job.lane = :lane "
    "AND due.turn <= CASE due.priority WHEN 0 THEN :clicks ELSE :others END "
    "RETURNING job.id, job.tenant, job.observable_id::text, job.type, job.value, job.enricher, job.lane, job.priority, "
    "job.tlp, job.fresh, job.trial, job.policy, job.depth, job.attempts, job.requested_by, "
    "due.turn"
)
_REROUTE: Final = sa.text(
    "UPDATE enrichment_job job SET state = 'waiting', holder = NULL, taken = 0, lane = m.lane "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:lanes AS uuid[])) m(id, lane) "
    "WHERE job.id = m.id AND job.holder = :me AND job.state = 'running'"
)
_HURRY: Final = sa.text(
    "UPDATE enrichment_job SET priority = least(priority, :priority), fresh = fresh OR :fresh, "
    "next_at = CASE WHEN state = 'waiting' THEN now() ELSE next_at END, "
    "tlp = CASE WHEN coalesce(array_position(CAST(:tlps AS text[]), tlp), 0) "
    ">= coalesce(array_position(CAST(:tlps AS text[]), CAST(:tlp AS text)), 0) THEN tlp ELSE CAST(:tlp AS text) END "
    "WHERE tenant = :tenant AND id = ANY(:ids) AND state IN ('waiting', 'running')"
)
_REFUSE_UNKNOWN: Final = sa.text(
    "UPDATE enrichment_job SET state = 'refused', reason = CAST(:why AS jsonb), finished_at = now() "
    "WHERE state = 'waiting' AND lane IN (SELECT id FROM enrichment_lane WHERE enricher <> ALL(:enrichers)) "
    "RETURNING 1"
)
_NOT_INSTALLED: Final = (
    '{"code": "no-access", "message": "The enricher is not installed any more."}'
)
_OPEN_PAIRS: Final = sa.text(
    "SELECT observable_id::text, enricher, id FROM enrichment_job WHERE tenant = :tenant "
    "AND observable_id = ANY(CAST(:ids AS uuid[])) AND state IN ('waiting', 'running')"
)
# Buckets are locked before this is asked: the order is the same everywhere.
_MINE: Final = sa.text(
    "SELECT id FROM enrichment_job WHERE id = ANY(:ids) AND holder = :me AND state = 'running' ORDER BY id FOR UPDATE"
)
_END: Final = sa.text(
    "UPDATE enrichment_job job SET state = e.state, outcome = e.outcome, reason = e.reason, attempts = e.attempts, "
    "holder = NULL, taken = 0, next_at = now() + make_interval(secs => e.wait), "
    "finished_at = CASE WHEN e.state = 'waiting' THEN NULL ELSE now() END "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:outcomes AS text[]), CAST(:reasons AS jsonb[]), "
    "CAST(:waits AS float8[]), CAST(:attempts AS smallint[])) e(id, state, outcome, reason, wait, attempts) "
    "WHERE job.id = e.id AND job.holder = :me AND job.state = 'running'"
)


def add(session: Session, tenant: str, wanted: Sequence[JobRequest]) -> list[tuple[UUID, str, str]]:
    """Store questions that are not open already: id, observable and enricher of those that were stored."""
    if not wanted:
        return []
    ordered = sorted(wanted, key=lambda one: (one.observable_id, one.enricher))
    values = {
        "tenant": tenant,
        "ids": [uuid4() for _ in ordered],
        "observables": [one.observable_id for one in ordered],
        "types": [one.type for one in ordered],
        "values": [one.value for one in ordered],
        "enrichers": [one.enricher for one in ordered],
        "lanes": [one.lane for one in ordered],
        "priorities": [one.priority for one in ordered],
        "tlps": [one.tlp for one in ordered],
        "fresh": [one.fresh for one in ordered],
        "trials": [one.trial for one in ordered],
        "policies": [one.policy for one in ordered],
        "depths": [one.depth for one in ordered],
        "by": [one.requested_by for one in ordered],
    }
    return [(row[0], row[1], row[2]) for row in session.execute(_ADD, values)]


def take(session: Session, me: UUID, lane: UUID, interactive: int, others: int) -> list[Job]:
    """Take a lane's next jobs, those that somebody waits for first.

    Args:
        session: a transaction of the platform's.
        me: the worker.
        lane: a lane that it holds.
        interactive: how many calls may start now.
        others: how many of them may be automatic work.
    """
    rows = session.execute(
        _TAKE, {"me": me, "lane": lane, "clicks": interactive, "others": others}
    ).all()
    return [Job(*row[:-1]) for row in sorted(rows, key=lambda row: row.turn)]


def mine(session: Session, me: UUID, ids: Iterable[UUID]) -> set[UUID]:
    """Those jobs that this worker still holds; they stay so until the transaction ends."""
    return set(session.scalars(_MINE, {"me": me, "ids": sorted(ids)}))


def reroute(session: Session, me: UUID, moved: Mapping[UUID, UUID]) -> None:
    """Let jobs that this worker took wait in the lanes that are theirs now, by job: their key was changed."""
    if moved:
        session.execute(_REROUTE, {"me": me, "ids": list(moved), "lanes": list(moved.values())})


def end(session: Session, me: UUID, ended: Sequence[Ended]) -> None:
    """Write down what became of jobs that this worker holds."""
    if not ended:
        return
    values = {
        "me": me,
        "ids": [one.id for one in ended],
        "states": [one.state for one in ended],
        "outcomes": [one.outcome for one in ended],
        "reasons": [one.reason for one in ended],
        "waits": [one.wait for one in ended],
        "attempts": [one.attempts for one in ended],
    }
    session.execute(_END, values)


def open_pairs(
    session: Session, tenant: str, observables: Sequence[str]
) -> dict[tuple[str, str], UUID]:
    """Open questions about observables: job by observable and enricher."""
    rows = session.execute(_OPEN_PAIRS, {"tenant": tenant, "ids": list(observables)})
    return {(row[0], row[1]): row[2] for row in rows}


def hurry(session: Session, tenant: str, ids: Iterable[UUID], wanted: JobRequest) -> None:
    """Somebody else wants these as well: they go as early as he wants it, and are marked no less strictly."""
    asked = {
        "tenant": tenant,
        "ids": sorted(ids),
        "priority": wanted.priority,
        "fresh": wanted.fresh,
    }
    session.execute(_HURRY, asked | {"tlp": wanted.tlp, "tlps": list(get_args(Tlp))})


def refuse_unknown(session: Session, enrichers: Sequence[str]) -> int:
    """Refuse questions to enrichers that are not installed (any more); how many."""
    return len(
        session.execute(
            _REFUSE_UNKNOWN, {"enrichers": list(enrichers), "why": _NOT_INSTALLED}
        ).all()
    )


def add_ended(session: Session, tenant: str, ended: Sequence[tuple[JobRequest, Ended]]) -> None:
    """Store questions that have their end already: refused, or answered by what is known."""
    rows = [
        {
            **{name: value for name, value in wanted._asdict().items() if name != "observable_id"},
            "observable_id": UUID(wanted.observable_id),
            "tenant": tenant,
            "id": end.id,
            "state": end.state,
            "outcome": end.outcome,
            "reason": msgspec.json.decode(end.reason) if end.reason else None,
            "finished_at": datetime.now(UTC),
        }
        for wanted, end in ended
    ]
    if rows:
        session.execute(sa.insert(JOB), rows)


def page(
    session: Session,
    tenant: str,
    state: str | None,
    enricher: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[sa.Row[Any]]:
    """A tenant's jobs, the newest first."""
    query = sa.select(JOB).where(JOB.c.tenant == tenant)
    if state is not None:
        query = query.where(JOB.c.state == state)
    if enricher is not None:
        query = query.where(JOB.c.enricher == enricher)
    if before is not None:
        query = query.where(sa.tuple_(JOB.c.created_at, JOB.c.id) < before)
    return session.execute(
        query.order_by(JOB.c.created_at.desc(), JOB.c.id.desc()).limit(limit)
    ).all()


class Queue(NamedTuple):
    """What stands before a tenant's next question in a lane.

    Attributes:
        running: questions that are under way.
        own: the tenant's own before it, itself among them.
        others: how many each other tenant that takes turns with it has waiting.
    """

    running: int
    own: int
    others: tuple[int, ...]

    def before(self, place: int) -> int:
        """How many questions are answered until the one that comes so many places later in the tenant's own order."""
        own = self.own + place
        return self.running + own + sum(min(own, count) for count in self.others)


def queue(session: Session, first: Any) -> Queue:
    """The queue that a waiting job stands in; the session sees all tenants."""
    waits = sa.and_(
        JOB.c.lane == first.lane, JOB.c.state == "waiting", JOB.c.priority <= first.priority
    )
    by_tenant = sa.select(JOB.c.tenant, sa.func.count()).where(waits).group_by(JOB.c.tenant)
    counts: dict[str, int] = dict(map(tuple, session.execute(by_tenant)))
    turn = sa.tuple_(JOB.c.priority, JOB.c.next_at, JOB.c.id)
    mine = sa.and_(
        waits,
        JOB.c.tenant == first.tenant,
        turn <= sa.tuple_(first.priority, first.next_at, first.id),
    )
    own = session.scalar(sa.select(sa.func.count()).where(mine)) or 0
    under_way = sa.and_(JOB.c.lane == first.lane, JOB.c.state == "running")
    running = session.scalar(sa.select(sa.func.count()).where(under_way)) or 0
    return Queue(
        running, own, tuple(count for tenant, count in counts.items() if tenant != first.tenant)
    )


def open_counts(session: Session, lanes: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How many jobs wait, and how many are under way, by lane."""
    query = sa.select(JOB.c.lane, JOB.c.state, sa.func.count()).where(JOB.c.lane.in_(lanes), _OPEN)
    found: dict[UUID, dict[str, int]] = {}
    for lane, state, count in session.execute(query.group_by(JOB.c.lane, JOB.c.state)):
        found.setdefault(lane, {})[state] = count
    return found


def cancel(session: Session, tenant: str, ids: Sequence[UUID] | None, enricher: str | None) -> int:
    """Take back jobs that wait: these, or all of an enricher, or all; how many."""
    mine = [JOB.c.tenant == tenant, JOB.c.state == "waiting"]
    if ids is not None:
        mine.append(JOB.c.id.in_(ids))
    if enricher is not None:
        mine.append(JOB.c.enricher == enricher)
    statement = sa.update(JOB).where(*mine).values(state="cancelled", finished_at=sa.func.now())
    return len(session.execute(statement.returning(JOB.c.id)).all())


def move(
    session: Session, tenants: Sequence[str] | None, enricher: str, old: UUID, new: UUID
) -> int:
    """Put waiting jobs into another lane: their key is another one now; how many."""
    mine = [JOB.c.lane == old, JOB.c.enricher == enricher, JOB.c.state == "waiting"]
    if tenants is not None:
        mine.append(JOB.c.tenant.in_(tenants))
    return len(
        session.execute(sa.update(JOB).where(*mine).values(lane=new).returning(JOB.c.id)).all()
    )


def prune(session: Session, days: int) -> int:
    """Forget jobs that ended more than some days ago; how many."""
    old = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    return len(
        session.execute(sa.delete(JOB).where(JOB.c.finished_at < old).returning(JOB.c.id)).all()
    )

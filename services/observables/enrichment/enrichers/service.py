"""What tenants set about enrichers, and what they see of them."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.policies.triggers import accesses_of
from services.observables.enrichment.queues.estimates import State, states
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings import repository as stored
from services.observables.enrichment.settings.access import Access
from services.observables.enrichment.settings.keys import seal
from services.observables.providers.registry import enricher_named
from shared.database import PLATFORM, PUBLIC, Database, set_tenant
from shared.errors import InvalidInput
from shared.kafka.outbox import audit
from shared.settings import Settings


class Blocked(msgspec.Struct):
    """What holds a lane back: quota (the provider says so), trouble (it keeps failing) or key (it refuses ours)."""

    kind: str
    until: datetime
    reason: str | None


class LaneView(msgspec.Struct):
    """The queue in front of a provider, as far as the tenant's key, or the one that is lent to it, is concerned.

    Attributes:
        pace: calls in a second.
        finished: when all that waits will probably have been answered.
    """

    owner: str
    waiting: int
    running: int
    used_today: int
    left_today: int | None
    pace: float
    blocked: Blocked | None
    finished: datetime | None


class EnricherView(msgspec.Struct):
    """An enricher as a tenant sees it.

    Attributes:
        key_fields: what a key consists of.
        has_key: whether the tenant has set one; `lent_key`: whether the operators lend theirs.
        obstacle: why it cannot be asked; None when it can.
        lifetime: seconds during which an answer is not asked for again.
    """

    name: str
    title: str
    documentation: str
    types: list[str]
    key_fields: list[str]
    key_optional: bool
    has_key: bool
    lent_key: bool
    enabled: bool
    obstacle: str | None
    max_tlp: str
    calls: int
    seconds: float
    daily: int | None
    concurrency: int
    lifetime: float
    lane: LaneView | None


class Change(NamedTuple):
    """What to change of an enricher's settings.

    Attributes:
        values: columns and their new values.
        key: a new key, by field; empty to remove it, None to leave it as it is.
    """

    values: dict[str, Any]
    key: Mapping[str, str] | None = None


def overview(database: Database, tenant: str) -> list[EnricherView]:
    """All enrichers, with their queues."""
    with database.transaction(tenant) as session:
        ways = accesses_of(session, tenant)
        own = {
            row.enricher: row for row in stored.of_tenant(session, tenant) if row.tenant == tenant
        }
        ids = [way.lane for way in ways.values()]
        known, counts = states(session, ids), _counts(session, ids, tenant)
    return [
        _view(way, own.get(name), known.get(way.lane), counts.get(way.lane, {}), tenant)
        for name, way in sorted(ways.items())
    ]


def _counts(session: Session, ids: list[UUID], tenant: str) -> dict[UUID, dict[str, int]]:
    # A lane that is lent has others' questions in it too: how many they are is no secret, and what they are is.
    set_tenant(session, SERVICE, PLATFORM)
    counts = jobs.open_counts(session, ids)
    set_tenant(session, SERVICE, tenant)
    return counts


def _view(
    way: Access, own: Any, state: State | None, counts: Mapping[str, int], tenant: str
) -> EnricherView:
    one, plan = way.enricher, way.plan
    return EnricherView(
        one.name,
        one.title,
        one.documentation,
        sorted(one.types),
        list(one.key_fields),
        one.key_optional,
        way.key_id is not None and way.owner == tenant,
        way.key_id is not None and way.owner == PUBLIC,
        own.enabled if own else True,
        way.obstacle,
        way.max_tlp,
        plan.rate.calls,
        plan.rate.seconds,
        plan.daily,
        plan.concurrency,
        one.lifetime.total_seconds(),
        _lane(state, counts) if state else None,
    )


def _lane(state: State, counts: Mapping[str, int]) -> LaneView:
    now, limiter, plan = time.time(), state.limiter, state.plan
    waiting, used = counts.get("waiting", 0), limiter.used_on(now)
    blocked = None
    if limiter.blocked_for is not None and limiter.blocked_until > now:
        blocked = Blocked(
            limiter.blocked_for, datetime.fromtimestamp(limiter.blocked_until, UTC), limiter.reason
        )
    finished = (
        datetime.fromtimestamp(limiter.finish_at(plan, now, waiting), UTC) if waiting else None
    )
    left = None if plan.daily is None else max(0, plan.daily - used)
    return LaneView(
        state.owner,
        waiting,
        counts.get("running", 0),
        used,
        left,
        limiter.pace(plan),
        blocked,
        finished,
    )


def change(
    database: Database, environment: Settings, tenant: str, actor: str, name: str, wanted: Change
) -> EnricherView:
    """Change a tenant's settings of an enricher; questions that wait go on with the new key.

    Raises:
        NotFound: there is no such enricher.
        InvalidInput: the key has not the fields that it should have.
    """
    enricher = enricher_named(name)
    values = dict(wanted.values)
    if wanted.key is not None:
        if wanted.key and set(wanted.key) != set(enricher.key_fields):
            fields = ", ".join(enricher.key_fields) or "nothing: it wants no key"
            raise InvalidInput(f"A key of {enricher.title} consists of {fields}.", field="key")
        key_id = uuid4() if wanted.key else None
        sealed = seal(environment.secret_key, tenant, key_id, wanted.key) if key_id else None
        values |= {"key_id": key_id, "sealed_key": sealed}
    with database.transaction(tenant) as session:
        stored.lock(session, name)
        before = accesses_of(session, tenant)[name]
        stored.put(session, tenant, name, actor, datetime.now(UTC), values)
        _move(session, tenant, name, before, accesses_of(session, tenant)[name])
        changed = sorted({*wanted.values, *(["key"] if wanted.key is not None else [])})
        audit(session, SERVICE, tenant, actor, "enrichers.change", name, fields=", ".join(changed))
    return next(one for one in overview(database, tenant) if one.name == name)


def _move(session: Session, tenant: str, name: str, before: Access, after: Access) -> None:
    """Put what waits into the lane of the key that there is now, whose limits may be others.

    The operators' key is that of many tenants.
    """
    provider_queues.ensure(
        session, SERVICE, tenant, [(after.lane, after.owner, name, after.key_id)]
    )
    set_tenant(session, SERVICE, PLATFORM)
    if before.lane != after.lane:
        jobs.move(session, None if tenant == PUBLIC else [tenant], name, before.lane, after.lane)
    if after.owner == tenant:
        provider_queues.recheck(session, after.lane)
    set_tenant(session, SERVICE, tenant)
    wake_after_commit(session)

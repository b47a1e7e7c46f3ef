"""Policies: kept, tried on the past, and applied to it."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.answers import repository
from services.observables.enrichment.policies import repository as stored
from services.observables.enrichment.policies import selection, triggers
from services.observables.enrichment.policies.selection import Candidate, Chosen, Policy
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings.access import Access
from services.observables.providers.registry import enricher_named
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.events.observables import CHANGED
from shared.kafka.history import read_since
from shared.kafka.outbox import audit
from shared.settings import Settings
from shared.stix import ObservableType
from shared.timestamps import parse_timestamp

MOST_DAYS: Final = 7
"""As long as the log keeps changes."""
_SHOWN: Final = 20
_TOGETHER: Final = 20_000
_MOST: Final = 500_000


class PolicyView(msgspec.Struct):
    """A policy, and what it has asked today."""

    id: UUID
    name: str
    enabled: bool
    enrichers: list[str]
    types: list[str]
    sources: list[str]
    tags: list[str]
    min_score: int
    depth: int
    daily_budget: int | None
    created_at: datetime
    created_by: str
    asked_today: int
    over_budget_today: int


class Forecast(msgspec.Struct):
    """What a policy would have asked, had it been there.

    Attributes:
        days: how many days of changes were looked at.
        changes: how many changes there were.
        calls: questions in all, and by enricher and by day; what their answers would have led to is not among them.
        over_budget: questions that its daily budget had no room for.
        refused: questions that may not be asked, by reason.
        examples: some of the questions: value and enricher.
    """

    days: int
    changes: int
    calls: int
    by_enricher: dict[str, int]
    by_day: dict[str, int]
    over_budget: int
    refused: dict[str, int]
    examples: list[tuple[str, str]]


def overview(database: Database, tenant: str) -> list[PolicyView]:
    """A tenant's policies, the oldest first."""
    with database.transaction(tenant) as session:
        today = _today(session, tenant)
        return [_view(row, today) for row in stored.of_tenant(session, tenant)]


def _today(session: Session, tenant: str) -> dict[UUID, tuple[int, int]]:
    now = datetime.now(UTC).date()
    return {
        row.policy_id: (row.asked, row.over_budget)
        for row in stored.use(session, tenant, 2)
        if row.day == now
    }


def _view(row: Any, today: Mapping[UUID, tuple[int, int]]) -> PolicyView:
    asked, over = today.get(row.id, (0, 0))
    kept = {
        name: getattr(row, name)
        for name in PolicyView.__struct_fields__
        if not name.endswith("_today")
    }
    return PolicyView(**kept, asked_today=asked, over_budget_today=over)


def create(database: Database, tenant: str, actor: str, values: Mapping[str, Any]) -> PolicyView:
    """Make a policy.

    Raises:
        InvalidInput: it names an enricher or a type that there is not.
        Conflict: there is one of that name.
    """
    _check(values)
    with database.transaction(tenant) as session:
        row = stored.put(session, tenant, uuid4(), values, actor)
        audit(session, SERVICE, tenant, actor, "policies.create", row.id, name=row.name)
        return _view(row, {})


def change(
    database: Database, tenant: str, actor: str, policy: UUID, values: Mapping[str, Any]
) -> PolicyView:
    """Change some of a policy.

    Raises:
        NotFound: the tenant has no such policy.
        InvalidInput, Conflict: as for `create`.
    """
    _check(values)
    with database.transaction(tenant) as session:
        row = stored.change(session, tenant, policy, values)
        if row is None:
            raise NotFound(f"There is no policy {policy} in this tenant.")
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "policies.change",
            policy,
            fields=", ".join(sorted(values)),
        )
        return _view(row, _today(session, tenant))


def delete(database: Database, tenant: str, actor: str, policy: UUID) -> None:
    """Remove a policy; what it asked already is still asked.

    Raises:
        NotFound: the tenant has no such policy.
    """
    with database.transaction(tenant) as session:
        if not stored.delete(session, tenant, policy):
            raise NotFound(f"There is no policy {policy} in this tenant.")
        audit(session, SERVICE, tenant, actor, "policies.delete", policy)


def _check(values: Mapping[str, Any]) -> None:
    for place, name in enumerate(values.get("enrichers") or ()):
        try:
            enricher_named(name)
        except NotFound as error:
            raise InvalidInput(error.message, field=f"enrichers.{place}") from None
    for place, type_ in enumerate(values.get("types") or ()):
        if type_ not in set(ObservableType):
            raise InvalidInput(f"There is no type of observable {type_!r}.", field=f"types.{place}")


def policy_of(values: Mapping[str, Any]) -> Policy:
    """A policy that is not kept, to be tried on the past.

    Raises:
        InvalidInput: as for `create`.
    """
    _check(values)
    enrichers, types, sources, tags = (
        frozenset(values[name]) for name in ("enrichers", "types", "sources", "tags")
    )
    limits = (values["min_score"], values["depth"], values["daily_budget"])
    return Policy(uuid4(), values["name"], enrichers, types, sources, tags, *limits)


def kept(database: Database, tenant: str, policy: UUID) -> Policy:
    """A policy that is kept.

    Raises:
        NotFound: the tenant has no such policy.
    """
    with database.transaction(tenant) as session:
        row = stored.one_of(session, tenant, policy)
    if row is None:
        raise NotFound(f"There is no policy {policy} in this tenant.")
    return stored.policy_of(row)


class Past(msgspec.Struct):
    """What a policy matches in the changes of some days.

    Attributes:
        asked: the candidates, in the order of their events.
    """

    days: int
    changes: int
    asked: list[Candidate]
    ways: dict[str, Access]


async def look_back(
    database: Database, environment: Settings, tenant: str, policy: Policy, days: int
) -> Past:
    """Read the changes of the last days and keep what the policy matches.

    Raises:
        Unavailable: the log does not answer.
        InvalidInput: it matches so much that nobody can mean it.
    """
    with database.transaction(tenant) as session:
        ways = triggers.accesses_of(session, tenant)
    past = Past(days, 0, [], ways)
    async for event in _changes(environment, tenant, datetime.now(UTC) - timedelta(days=days)):
        past.changes += len(event.data.changes)
        past.asked += selection.candidates(
            [policy], event.data.source, event.data.changes, ways, parse_timestamp(event.time)
        )
        if len(past.asked) > _MOST:
            raise InvalidInput(
                f"The policy matches more than {_MOST:,} questions in {days} days: narrow it down."
            )
    past.asked.sort(key=lambda one: one.at)
    return past


async def _changes(environment: Settings, tenant: str, since: datetime) -> AsyncIterator[Any]:
    async for event in read_since(environment, CHANGED, since):
        if event.tenant == tenant and event.time:
            yield event


def forecast(database: Database, tenant: str, past: Past) -> Forecast:
    """What would have been asked: the very choice that is made of events as they come."""
    with database.transaction(tenant) as session:
        chosen = _choose(session, tenant, past)
    by_enricher: dict[str, int] = {}
    by_day: dict[str, int] = {}
    for one, _ in chosen.wanted:
        by_enricher[one.pair[1]] = by_enricher.get(one.pair[1], 0) + 1
        by_day[one.day.isoformat()] = by_day.get(one.day.isoformat(), 0) + 1
    examples = [(one.value, one.pair[1]) for one, _ in chosen.wanted[:_SHOWN]]
    calls, over = len(chosen.wanted), len(chosen.over_budget)
    return Forecast(
        past.days, past.changes, calls, by_enricher, by_day, over, chosen.refused, examples
    )


def _choose(session: Session, tenant: str, past: Past) -> Chosen:
    """Choose as of then: an answer that came later does not count, and no budget had been used."""
    ids = sorted({one.pair[0] for one in past.asked})
    cached = repository.cached(session, tenant, ids, datetime.now(UTC))
    open_ = jobs.open_pairs(session, tenant, ids)

    def answered(one: Candidate) -> bool:
        known = cached.get(one.pair)
        return one.pair in open_ or (known is not None and known.obtained_at <= one.at)

    def room(policy: Policy, _day: date) -> int | None:
        return triggers.room(policy, 0)

    return selection.choose(
        past.asked, repository.standing(session, tenant, ids), past.ways, answered, room
    )


def apply(database: Database, tenant: str, actor: str, policy: UUID, past: Past) -> int:
    """Ask now what the policy would have asked; how many questions there are."""
    asked = 0
    with database.transaction(tenant) as session:
        for start in range(0, len(past.asked), _TOGETHER):
            asked += len(
                triggers.ask(
                    session, tenant, past.asked[start : start + _TOGETHER], past.ways
                ).wanted
            )
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "policies.apply",
            policy,
            days=str(past.days),
            asked=str(asked),
        )
        wake_after_commit(session)
    return asked

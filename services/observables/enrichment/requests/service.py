"""What people ask to have asked, and how far it has come."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.repository import Cached
from services.observables.enrichment.disclosure import Refusal, refusal, strictest
from services.observables.enrichment.policies.triggers import accesses_of
from services.observables.enrichment.queues.estimates import estimates
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import (
    INTERACTIVE,
    PLAYBOOK,
    Ended,
    JobRequest,
)
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.requests import repository as kept
from services.observables.enrichment.settings.access import Access
from services.observables.providers.base import Query
from services.observables.reference import context
from services.observables.store import repository, upsert
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.stix import Observable, bucket
from shared.stix.ids import observable_id

OPEN: Final = frozenset({"waiting", "running"})


class JobView(msgspec.Struct):
    """A question and how far it has come.

    Attributes:
        outcome: of one that is done: found, unknown, cached.
        reason: why it was refused, failed, or has to be asked again.
        estimate: when one that waits will probably have been answered.
    """

    id: UUID
    observable_id: UUID
    type: str
    value: str
    enricher: str
    state: str
    outcome: str | None
    reason: dict[str, Any] | None
    attempts: int
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    estimate: datetime | None


class Progress(msgspec.Struct):
    """A request's questions."""

    id: UUID
    requested_by: str
    created_at: datetime
    open: int
    jobs: list[JobView]


class Question(NamedTuple):
    """What somebody wants to have asked.

    Attributes:
        about: the observables.
        names: of the enrichers; None for all that can be asked about each of them.
        tlp: a marking of the values; the strictest of this and their sources' counts.
        fresh: ask although there are answers that are good enough.
        playbook: a program asks; people go first.
    """

    about: Sequence[Observable]
    names: Sequence[str] | None = None
    tlp: str | None = None
    fresh: bool = False
    playbook: bool = False


def ask(database: Database, tenant: str, actor: str, question: Question) -> UUID:
    """Ask enrichers about observables, before all automatic work; the id of the request.

    Raises:
        InvalidInput: there is no enricher of a name.
    """
    request, now = uuid4(), datetime.now(UTC)
    by_id = {observable_id(one.type, one.value): one for one in question.about}
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        ways = _chosen(accesses_of(session, tenant), question.names)
        repository.lock(session, {bucket(identity) for identity in by_id})
        upsert.put(session, tenant, by_id, now)
        ended, waiting = _sorted_out(
            session, tenant, _wanted(question, by_id, ways, actor), ways, now
        )
        ids = _store(session, tenant, ended, waiting, ways)
        kept.put(session, tenant, request, actor, ids)
        wake_after_commit(session)
    return request


def _chosen(ways: Mapping[str, Access], names: Sequence[str] | None) -> dict[str, Access]:
    """The enrichers that were named; those that there is a way to when none was."""
    if names is None:
        return {name: way for name, way in ways.items() if way.obstacle is None}
    unknown = [name for name in names if name not in ways]
    if unknown:
        raise InvalidInput(
            f"There is no enricher named {unknown[0]!r}; `GET /v1/enrichers` lists them.",
            field="enrichers",
        )
    return {name: ways[name] for name in names}


def _wanted(
    question: Question, by_id: Mapping[str, Observable], ways: Mapping[str, Access], actor: str
) -> list[JobRequest]:
    """A question to each enricher about each value; of those that were not named, only to who can be asked about it."""
    priority = PLAYBOOK if question.playbook else INTERACTIVE
    return [
        JobRequest(
            identity,
            one.type,
            one.value,
            name,
            way.lane,
            priority,
            actor,
            question.tlp,
            question.fresh,
        )
        for identity, one in by_id.items()
        for name, way in ways.items()
        if question.names is not None or way.enricher.applies(Query(one.type, one.value))
    ]


def _sorted_out(
    session: Session,
    tenant: str,
    wanted: Sequence[JobRequest],
    ways: Mapping[str, Access],
    now: datetime,
) -> tuple[list[tuple[JobRequest, Ended]], list[JobRequest]]:
    """Questions that have their end already, refused or answered, and those to be asked."""
    ids = sorted({one.observable_id for one in wanted})
    standing, cached = (
        answers.standing(session, tenant, ids),
        answers.cached(session, tenant, ids, now),
    )
    ended, waiting = [], []
    for one in wanted:
        way, there = ways[one.enricher], standing[one.observable_id]
        marking = strictest([one.tlp, *there.tlps])
        known = cached.get((one.observable_id, one.enricher))
        refused = Refusal("no-access", way.obstacle) if way.obstacle else None
        refused = refused or refusal(
            Query(one.type, one.value), way.enricher, marking, way.max_tlp, there.context
        )
        if refused is not None:
            reason = msgspec.json.encode(refused).decode()
            ended.append((one, Ended(uuid4(), "refused", reason=reason)))
        elif known is not None and not one.fresh and _is_all_here(known, tenant):
            ended.append((one, Ended(uuid4(), "done", "cached")))
        else:
            waiting.append(one)
    return ended, waiting


def _is_all_here(known: Cached, tenant: str) -> bool:
    """Whether a tenant has all that an answer brought; what a shared one names is still to be stored for it."""
    return known.tenant == tenant or known.finding is None or not known.finding.related


def _store(
    session: Session,
    tenant: str,
    ended: Sequence[tuple[JobRequest, Ended]],
    waiting: Sequence[JobRequest],
    ways: Mapping[str, Access],
) -> list[UUID]:
    """Store questions; one that is open already is not asked twice, but goes before the others now."""
    jobs.add_ended(session, tenant, ended)
    used = {ways[one.enricher] for one in waiting}
    provider_queues.ensure(
        session,
        SERVICE,
        tenant,
        ((way.lane, way.owner, way.enricher.name, way.key_id) for way in used),
    )
    added = jobs.add(session, tenant, waiting)
    stored = {(observable, enricher) for _, observable, enricher in added}
    missing = [one for one in waiting if (one.observable_id, one.enricher) not in stored]
    open_ = (
        jobs.open_pairs(session, tenant, sorted({one.observable_id for one in missing}))
        if missing
        else {}
    )
    others = [open_[key] for one in missing if (key := (one.observable_id, one.enricher)) in open_]
    if others:
        jobs.hurry(session, tenant, others, waiting[0])
    return [*(end.id for _, end in ended), *(identity for identity, _, _ in added), *others]


def try_out(database: Database, tenant: str, actor: str, name: str) -> UUID:
    """Ask an enricher a harmless question, to see whether it and its key work; the id of the request.

    Raises:
        NotFound: there is no such enricher.
        InvalidInput: there is no way to it.
    """
    request = uuid4()
    with database.transaction(tenant) as session:
        way = accesses_of(session, tenant).get(name)
        if way is None:
            raise NotFound(f"There is no enricher named {name!r}.")
        if way.obstacle is not None:
            raise InvalidInput(way.obstacle, field="enricher")
        test_query = way.enricher.test_query
        # Of a made-up observable: what is known about the value, or asked in earnest, has nothing to do with it.
        one = JobRequest(str(uuid4()), *test_query, name, way.lane, INTERACTIVE, actor, trial=True)
        ids = _store(session, tenant, [], [one], {name: way})
        provider_queues.reopen(session, way.lane)
        kept.put(session, tenant, request, actor, ids)
        wake_after_commit(session)
    return request


def progress(database: Database, tenant: str, request: UUID) -> Progress:
    """How far a request has come.

    Raises:
        NotFound: the tenant has no such request.
    """
    with database.transaction(tenant) as session:
        row = kept.one_of(session, tenant, request)
        if row is None:
            raise NotFound(f"There is no request {request} in this tenant.")
        listed = _views(session, tenant, kept.jobs_of(session, tenant, request))
    return Progress(
        row.id, row.requested_by, row.created_at, sum(one.state in OPEN for one in listed), listed
    )


def page(
    database: Database,
    tenant: str,
    state: str | None,
    enricher: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobView]:
    """A page of the tenant's questions, the newest first."""
    with database.transaction(tenant) as session:
        return _views(session, tenant, jobs.page(session, tenant, state, enricher, before, limit))


def _views(session: Session, tenant: str, rows: Sequence[Any]) -> list[JobView]:
    ahead = estimates(session, tenant, [row for row in rows if row.state == "waiting"])
    return [
        JobView(
            row.id,
            row.observable_id,
            row.type,
            row.value,
            row.enricher,
            row.state,
            row.outcome,
            row.reason,
            row.attempts,
            row.requested_by,
            row.created_at,
            row.finished_at,
            ahead.get(row.id),
        )
        for row in rows
    ]


def cancel(
    database: Database, tenant: str, ids: Sequence[UUID] | None, enricher: str | None
) -> int:
    """Take back questions that wait; how many."""
    with database.transaction(tenant) as session:
        return jobs.cancel(session, tenant, ids, enricher)

"""On-demand enrichment requests, and their progress."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.models import CachedAnswer
from services.observables.enrichment.disclosure import Refusal, refusal, strictest
from services.observables.enrichment.queues.estimates import estimate
from services.observables.enrichment.queues.models import (
    INTERACTIVE,
    OPEN_STATES,
    PLAYBOOK,
    JobEnd,
    JobRequest,
    JobRow,
    JobState,
)
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.service import enqueue
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.requests import repository
from services.observables.enrichment.requests.schemas import EnrichmentView, JobView
from services.observables.enrichment.settings.access import Access
from services.observables.enrichment.settings.service import accesses_of
from services.observables.providers.base import Query
from services.observables.quotas.limits import BULK_REQUESTS
from services.observables.reference import context
from services.observables.store import new_observables
from services.observables.store.repository import write
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.stix import Observable, ObservableType, bucket
from shared.stix.ids import observable_id

FEW_VALUES: Final = 20
"""Values of a request that counts as none for many."""
_ENQUEUE_ATTEMPTS: Final = 10
_BATCH: Final = 50
"""Observables that a transaction stores."""


class EnrichmentRequest(NamedTuple):
    """A request to query enrichers about observables.

    Attributes:
        enrichers: names; None for all that can be queried about each observable.
        tlp: a marking of the values; the strictest of it and their sources' counts.
        fresh: query providers even if an answer is still good.
        playbook: a program waits, not a person.
    """

    observables: Sequence[Observable]
    enrichers: Sequence[str] | None = None
    tlp: str | None = None
    fresh: bool = False
    playbook: bool = False


def create(database: Database, tenant: str, actor: str, request: EnrichmentRequest) -> UUID:
    """Query enrichers about observables, before all background work; the id of the request.

    Raises:
        InvalidInput: there is no enricher of a name.
        QuotaExceeded: as many requests for many values are open as the tenant may have.
    """
    request_id = uuid4()
    now = datetime.now(UTC)
    observables = {
        observable_id(observable.type, observable.value): observable
        for observable in request.observables
    }
    is_bulk = len(observables) > FEW_VALUES
    if is_bulk:
        with database.transaction(tenant) as session:
            # What is refused below stores nothing.
            _chosen_accesses(accesses_of(session, tenant), request.enrichers)
            require_room(session, tenant, BULK_REQUESTS)
        _put_in_batches(database, tenant, observables, now)
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        accesses = _chosen_accesses(accesses_of(session, tenant), request.enrichers)
        if is_bulk:
            require_room(session, tenant, BULK_REQUESTS)
        else:
            _put(session, tenant, observables, now)
        job_requests = _job_requests(request, observables, accesses, actor)
        ended, waiting = _split(session, tenant, job_requests, accesses, now)
        ids = _store(session, tenant, ended, waiting, accesses)
        repository.add(session, tenant, request_id, actor, ids)
        wake_after_commit(session)
    return request_id


def _put_in_batches(
    database: Database, tenant: str, observables: Mapping[str, Observable], now: datetime
) -> None:
    """Store observables in several transactions: the locks of buckets are everybody's.

    Each transaction holds a few of them, for a short time.
    """
    ids = sorted(observables, key=lambda identity: (bucket(identity), identity))
    for start in range(0, len(ids), _BATCH):
        with database.transaction(tenant) as session:
            context.reload_if_stale(session)
            batch = {identity: observables[identity] for identity in ids[start : start + _BATCH]}
            _put(session, tenant, batch, now)


def _put(
    session: Session, tenant: str, observables: Mapping[str, Observable], now: datetime
) -> None:
    write.lock(session, {bucket(identity) for identity in observables})
    new_observables.put(session, tenant, observables, now)


def _chosen_accesses(
    accesses: Mapping[str, Access], names: Sequence[str] | None
) -> dict[str, Access]:
    """The accesses to the named enrichers; without names, all that have no obstacle."""
    if names is None:
        return {name: access for name, access in accesses.items() if access.obstacle is None}
    for name in names:
        if name not in accesses:
            raise InvalidInput(
                f"There is no enricher named {name!r}; `GET /v1/enrichers` lists them.",
                field="enrichers",
            )
    return {name: accesses[name] for name in names}


def _job_requests(
    request: EnrichmentRequest,
    observables: Mapping[str, Observable],
    accesses: Mapping[str, Access],
    actor: str,
) -> list[JobRequest]:
    """A job for each value and enricher.

    Enrichers that were not named get only the values that apply to them.
    """
    priority = PLAYBOOK if request.playbook else INTERACTIVE
    return [
        JobRequest(
            identity,
            observable.type,
            observable.value,
            name,
            access.queue_id,
            priority,
            actor,
            request.tlp,
            request.fresh,
        )
        for identity, observable in observables.items()
        for name, access in accesses.items()
        if request.enrichers is not None
        or access.enricher.applies(Query(observable.type, observable.value))
    ]


def _split(
    session: Session,
    tenant: str,
    requests: Sequence[JobRequest],
    accesses: Mapping[str, Access],
    now: datetime,
) -> tuple[list[tuple[JobRequest, JobEnd]], list[JobRequest]]:
    """Jobs that end at once, refused or answered by a stored answer, and jobs that wait."""
    ids = sorted({request.observable_id for request in requests})
    states = answers.disclosure_states(session, tenant, ids)
    cached = answers.cached(session, tenant, ids, now)
    ended = []
    waiting = []
    for request in requests:
        access = accesses[request.enricher]
        state = states[request.observable_id]
        refused = _refusal(request, access, [request.tlp, *state.tlps], state.context)
        answer = cached.get((request.observable_id, request.enricher))
        if refused is not None:
            reason = msgspec.json.encode(refused).decode()
            ended.append((request, JobEnd(uuid4(), "refused", reason=reason)))
        elif answer is not None and not request.fresh and _is_complete(answer, tenant):
            ended.append((request, JobEnd(uuid4(), "done", "cached")))
        else:
            waiting.append(request)
    return ended, waiting


def _refusal(
    request: JobRequest, access: Access, markings: Sequence[str | None], context_json: str
) -> Refusal | None:
    if access.obstacle:
        return Refusal("no-access", access.obstacle)
    query = Query(request.type, request.value)
    marking = strictest(markings)
    return refusal(query, access.enricher, marking, access.max_tlp, context_json)


def _is_complete(answer: CachedAnswer, tenant: str) -> bool:
    """Whether a tenant has everything from an answer.

    The observables that a shared answer names are still to be stored for the tenant.
    """
    return answer.tenant == tenant or answer.finding is None or not answer.finding.related


def _store(
    session: Session,
    tenant: str,
    ended: Sequence[tuple[JobRequest, JobEnd]],
    waiting: Sequence[JobRequest],
    accesses: Mapping[str, Access],
) -> list[UUID]:
    """Store jobs; open ones about the same query are expedited instead. The ids of all."""
    jobs.add_ended(session, tenant, ended)
    ids = [end.id for _, end in ended]
    missing = {(request.observable_id, request.enricher): request for request in waiting}
    existing: list[UUID] = []
    # An open job may end before it is looked up; then there is room for a new one.
    for _ in range(_ENQUEUE_ATTEMPTS):
        if not missing:
            break
        added = enqueue(session, tenant, list(missing.values()), accesses)
        missing = {pair: missing[pair] for pair in missing if pair not in added}
        open_jobs = jobs.open_jobs(session, tenant, sorted({pair[0] for pair in missing}))
        ids += added.values()
        existing += [open_jobs[pair] for pair in missing if pair in open_jobs]
        missing = {pair: missing[pair] for pair in missing if pair not in open_jobs}
    if existing:
        jobs.expedite(session, tenant, existing, waiting[0])
    return [*ids, *existing]


def create_trial(database: Database, tenant: str, actor: str, name: str) -> UUID:
    """Send an enricher a harmless query to try it and its key; the id of the request.

    Raises:
        NotFound: there is no such enricher.
        InvalidInput: the tenant has no access to it.
    """
    request_id = uuid4()
    with database.transaction(tenant) as session:
        access = accesses_of(session, tenant).get(name)
        if access is None:
            raise NotFound(f"There is no enricher named {name!r}.")
        if access.obstacle is not None:
            raise InvalidInput(access.obstacle, field="enricher")
        # The observable's id is made up: other jobs about the same value stay out of it.
        trial = JobRequest(
            str(uuid4()),
            *access.enricher.test_query,
            name,
            access.queue_id,
            INTERACTIVE,
            actor,
            trial=True,
        )
        ids = _store(session, tenant, [], [trial], {name: access})
        provider_queues.unblock_key(session, access.queue_id)
        repository.add(session, tenant, request_id, actor, ids)
        audit(session, NAME, tenant, actor, "enrichers.test", name, request=str(request_id))
        wake_after_commit(session)
    return request_id


def progress(database: Database, tenant: str, request_id: UUID) -> EnrichmentView:
    """A request and the progress of its jobs.

    Raises:
        NotFound: the tenant has no such request.
    """
    with database.transaction(tenant) as session:
        request = repository.get(session, tenant, request_id)
        if request is None:
            raise NotFound(f"There is no request {request_id} in this tenant.")
        views = _views(session, tenant, repository.jobs_of(session, tenant, request_id))
    count = sum(view.state in OPEN_STATES for view in views)
    return EnrichmentView(request.id, request.requested_by, request.created_at, count, views)


def page(
    database: Database,
    tenant: str,
    state: JobState | None,
    enricher: str | None,
    after: str | None,
    limit: int,
) -> Page[JobView]:
    """A page of the tenant's jobs, the newest first.

    Raises:
        InvalidInput: `after` is not a cursor of this list.
    """
    before = decode_cursor(after, tuple[datetime, UUID])
    with database.transaction(tenant) as session:
        rows = jobs.page(session, tenant, state, enricher, before, limit + 1)
        rows_page = paginate(rows, limit, lambda row: (row.created_at, row.id))
        return Page(_views(session, tenant, rows_page.items), rows_page.next)


def _views(session: Session, tenant: str, rows: Sequence[JobRow]) -> list[JobView]:
    waiting = [row for row in rows if row.state == "waiting"]
    estimates = estimate(session, tenant, waiting)
    return [
        JobView(
            row.id,
            row.observable_id,
            ObservableType(row.type),
            row.value,
            row.enricher,
            row.state,
            row.outcome,
            row.reason,
            row.attempts,
            row.requested_by,
            row.created_at,
            row.finished_at,
            estimates.get(row.id),
        )
        for row in rows
    ]


def cancel(
    database: Database, principal: Principal, ids: Sequence[UUID] | None, enricher: str | None
) -> int:
    """Cancel waiting jobs: some, or all of an enricher, or all of the tenant; how many."""
    tenant = principal.tenant
    with database.transaction(tenant) as session:
        count = jobs.cancel(session, tenant, ids, enricher)
        target = enricher or "jobs"
        details = {"cancelled": str(count)}
        if ids is not None:
            details["ids"] = " ".join(map(str, ids[:100]))
        audit(session, NAME, tenant, principal.actor, "enrichments.cancel", target, **details)
    return count

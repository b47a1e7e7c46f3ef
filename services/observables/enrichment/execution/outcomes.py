"""The effects of outcomes.

Answers, relations and new observables are stored, scores move, events are published, jobs end. One
transaction does all of it for a batch of outcomes, and only for jobs that the worker still has: an
answer takes effect once, or its query is sent again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import zstandard
from msgspec.structs import replace
from sqlalchemy.orm import Session

from services.observables import EVENT_SOURCE
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.models import StoredAnswer
from services.observables.enrichment.policies.triggers import follow_answer
from services.observables.enrichment.queues.models import Job, JobEnd, JobOutcome
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.rate_limiter import RateLimiter
from services.observables.providers.base import Finding, RelatedObservable, RemoteEnricher
from services.observables.store import new_observables, rescore
from services.observables.store.changes import ChangeLabels, new_change
from services.observables.store.repository import write
from services.observables.store.repository.relations import NewRelation, put_relations
from shared.database import PLATFORM, PUBLIC, Database, set_tenant
from shared.events import Event, content_id, derived_id
from shared.events.observables import ENRICHED, Change, Enriched
from shared.kafka.outbox import publish
from shared.stix import Observable, ObservableType, bucket
from shared.stix.ids import observable_id, stix_type
from shared.stix.markings import Marking

_SHAREABLE_TLPS: frozenset[Marking | None] = frozenset({"clear", "green"})


class AnsweredJob(NamedTuple):
    """A job and its answer.

    Attributes:
        finding: None when the provider knows nothing about the value.
        raw: the provider's bytes; None when a stored answer was used.
        marking: the strictest of the observable and the job.
        lent: whether no key of the tenant's own was used.
        obtained_at: when the provider answered.
    """

    job: Job
    enricher: RemoteEnricher
    finding: Finding | None
    raw: bytes | None
    marking: Marking | None
    lent: bool
    obtained_at: datetime

    @property
    def owner(self) -> str:
        """The tenant that the answer is stored for.

        That is `public` when the tenant did not pay for the answer and the marking allows it.
        """
        is_shared = self.lent and self.enricher.shareable and self.marking in _SHAREABLE_TLPS
        return PUBLIC if is_shared else self.job.tenant

    @property
    def end(self) -> JobEnd:
        """The end of its job."""
        outcome: JobOutcome = "found"
        if self.raw is None:
            outcome = "cached"
        elif self.finding is None:
            outcome = "unknown"
        return JobEnd(self.job.id, "done", outcome, attempts=self.job.attempts)

    @property
    def cause(self) -> str:
        """What it is as the cause of a change: the same answer again changes nothing anew."""
        content = msgspec.json.encode(self.finding, order="deterministic", enc_hook=str)
        return f"{self.enricher.name} {content_id(self.owner, content)}"

    def related(self) -> list[tuple[str, RelatedObservable]]:
        """The observables that the answer names, with their UUIDs."""
        if self.finding is None:
            return []
        return [
            (observable_id(observable.type, observable.value), observable)
            for observable in self.finding.related
        ]


class OutcomeBatch(NamedTuple):
    """Outcomes that are stored together.

    Attributes:
        answered: jobs with an answer.
        ends: jobs that end without one, or wait again.
        limiters: of the queues of all these jobs, by queue.
    """

    answered: Sequence[AnsweredJob]
    ends: Sequence[JobEnd]
    limiters: Mapping[UUID, RateLimiter]


def store_outcomes(database: Database, worker: UUID, batch: OutcomeBatch, now: datetime) -> None:
    """Store the outcomes of jobs, and the limiters of their queues."""
    service = database.service
    with database.transaction(PLATFORM) as session:
        # Buckets are locked before jobs, as everywhere.
        write.lock(session, _buckets(batch.answered))
        ids = [answer.job.id for answer in batch.answered]
        ids += [end.id for end in batch.ends]
        claimed = jobs.lock_claimed(session, worker, ids)
        answered = [answer for answer in batch.answered if answer.job.id in claimed]
        ends = [answer.end for answer in answered]
        ends += [end for end in batch.ends if end.id in claimed]
        # The answer of a trial has no effect.
        effective = [answer for answer in answered if not answer.job.trial]
        _store_answers(session, service, effective, now)
        by_tenant: dict[str, list[AnsweredJob]] = {}
        for answer in effective:
            by_tenant.setdefault(answer.job.tenant, []).append(answer)
        for tenant, tenant_answers in sorted(by_tenant.items()):
            set_tenant(session, service, tenant)
            _store_related(session, tenant, tenant_answers, now)
        _rescore(session, service, effective, now)
        set_tenant(session, service, PLATFORM)
        jobs.end(session, worker, ends)
        provider_queues.save(session, worker, batch.limiters, spending=False)


def _buckets(answered: Iterable[AnsweredJob]) -> set[int]:
    buckets = set()
    for answer in answered:
        buckets.add(bucket(answer.job.observable_id))
        buckets.update(bucket(identity) for identity, _ in answer.related())
    return buckets


def _store_answers(
    session: Session, service: str, answered: Sequence[AnsweredJob], now: datetime
) -> None:
    """Store answers for their owners, and publish an event for each.

    Of two answers of one enricher about one observable the last counts.
    """
    by_owner: dict[str, dict[tuple[str, str], AnsweredJob]] = {}
    for answer in answered:
        if answer.raw is not None:
            key = (answer.job.observable_id, answer.enricher.name)
            by_owner.setdefault(answer.owner, {})[key] = answer
    for owner, owned in by_owner.items():
        set_tenant(session, service, owner)
        answers.put(session, owner, [_stored_answer(answer) for answer in owned.values()], now)
        publish(session, [_event(answer, owner) for answer in owned.values()])


def _stored_answer(answer: AnsweredJob) -> StoredAnswer:
    obtained_at = answer.obtained_at
    enricher = answer.enricher
    return StoredAnswer(
        answer.job.observable_id,
        enricher.name,
        answer.finding,
        obtained_at,
        expires_at=obtained_at + enricher.lifetime,
        counts_until=obtained_at + enricher.weights_lifetime,
        raw=zstandard.compress(answer.raw or b"", 3),
    )


def _event(answer: AnsweredJob, tenant: str) -> Event[Enriched]:
    job = answer.job
    identity = f"{stix_type(job.type)}--{job.observable_id}"
    data = Enriched(
        identity,
        job.type,
        job.value,
        job.enricher,
        dict(answer.finding.facts) if answer.finding else {},
        answer.obtained_at.isoformat(),
        is_known=answer.finding is not None,
    )
    event_id = derived_id(ENRICHED.name, tenant, identity, job.enricher, data.obtained_at)
    return Event(ENRICHED, data, tenant, EVENT_SOURCE, identity.encode(), event_id)


def _store_related(
    session: Session, tenant: str, answered: Sequence[AnsweredJob], now: datetime
) -> None:
    """Store the relations and the new observables that answers name; policies may follow these."""
    named = {identity for answer in answered for identity, _ in answer.related()}
    if not named:
        return
    new = named - answers.disclosure_states(session, tenant, sorted(named)).keys()
    changes: list[Change] = []
    for answer in answered:
        observables = {
            identity: Observable(ObservableType(related.type), related.value)
            for identity, related in answer.related()
            if identity in new
        }
        new -= observables.keys()
        scores = new_observables.public_scores(session, tenant, list(observables), now)
        contexts = new_observables.put(
            session, tenant, observables, now, depth=answer.job.depth + 1, tlp=answer.marking
        )
        for identity, observable in observables.items():
            score = scores[identity].score if identity in scores else 0
            cause = f"{answer.enricher.name} about {answer.job.observable_id}"
            about = ChangeLabels(tlp=answer.marking or "clear")
            change = new_change(identity, observable.type, observable.value, score, about)
            changes.append(replace(change, cause=cause))
        follow_answer(session, tenant, answer.job, observables, contexts, now)
    put_relations(session, _relation_rows(tenant, answered, now))
    rescore.publish_changes(session, tenant, changes, "enrichment")


def _relation_rows(
    tenant: str, answered: Iterable[AnsweredJob], now: datetime
) -> list[NewRelation]:
    rows = {}
    for answer in answered:
        for identity, related in answer.related():
            start = answer.job.observable_id
            end = identity
            if related.inward:
                start, end = end, start
            rows[start, related.kind, end, answer.enricher.name] = NewRelation(
                tenant,
                UUID(start),
                related.kind,
                UUID(end),
                answer.enricher.name,
                answer.obtained_at,
                answer.obtained_at,
                now,
            )
    return list(rows.values())


def _rescore(
    session: Session, service: str, answered: Iterable[AnsweredJob], now: datetime
) -> None:
    """Rescore the observables: for the tenant, and for all when the answer is shared."""
    by_tenant: dict[str, dict[str, str]] = {}
    for answer in answered:
        for tenant in {answer.job.tenant, answer.owner}:
            by_tenant.setdefault(tenant, {})[answer.job.observable_id] = answer.cause
    for tenant, causes in sorted(by_tenant.items()):
        set_tenant(session, service, tenant)
        changes = rescore.rescore(session, tenant, sorted(causes), now, causes)
        rescore.publish_changes(session, tenant, changes, "enrichment")

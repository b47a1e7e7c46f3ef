"""What answers do: facts, relations and new observables are stored, scores move, events tell of it, jobs end.

All of that for a batch of answers is one transaction, in which each job is still its worker's: an answer has its effect
once, or the question is asked again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import zstandard
from sqlalchemy.orm import Session

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.repository import Stored
from services.observables.enrichment.policies import triggers
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import Ended, Job
from services.observables.enrichment.rate_limiter import RateLimiter
from services.observables.providers.base import Finding, RelatedObservable, RemoteEnricher, Tlp
from services.observables.sightings import repository as reported
from services.observables.store import repository, rescore, upsert
from services.observables.store.events import EVENT_SOURCE
from services.observables.store.plan import ScoreUpdate
from shared.database import PLATFORM, PUBLIC, Database, set_tenant
from shared.events import Event
from shared.events.observables import ENRICHED, Change, Enriched
from shared.kafka.outbox import publish
from shared.stix import Observable, ObservableType, bucket
from shared.stix.ids import observable_id, stix_type

_SHARED: frozenset[Tlp | None] = frozenset({"clear", "green"})


class Item(NamedTuple):
    """An answer to a job's question.

    Attributes:
        finding: None when the provider knows nothing about the value.
        raw: what the provider sent; None when nobody was asked, because there was an answer already.
        marking: the strictest of what the question was about.
        lent: whether no key of the tenant's own was used.
        obtained_at: when the provider answered.
    """

    job: Job
    enricher: RemoteEnricher
    finding: Finding | None
    raw: bytes | None
    marking: Tlp | None
    lent: bool
    obtained_at: datetime

    @property
    def target(self) -> str:
        """Whose answer it is: everybody's, where the marking lets it and nobody paid for it."""
        return (
            PUBLIC
            if self.lent and self.enricher.shareable and self.marking in _SHARED
            else self.job.tenant
        )

    @property
    def ended(self) -> Ended:
        """The end of its job."""
        outcome = "cached" if self.raw is None else "unknown" if self.finding is None else "found"
        return Ended(self.job.id, "done", outcome, attempts=self.job.attempts)

    def related(self) -> list[tuple[str, RelatedObservable]]:
        """The observables that it names, with their UUIDs."""
        found = self.finding.related if self.finding else ()
        return [(observable_id(one.type, one.value), one) for one in found]


class Heard(NamedTuple):
    """What a batch of outcomes says.

    Attributes:
        items: the questions that were answered.
        ended: those that ended, or wait again, otherwise.
        meters: of the lanes that they were asked in: a refusal outlives the worker that heard it.
    """

    items: Sequence[Item]
    ended: Sequence[Ended]
    limiters: Mapping[UUID, RateLimiter]


def record(database: Database, me: UUID, heard: Heard, lease: float, now: datetime) -> None:
    """Write down what became of jobs, and what that says about their lanes."""
    items, ended = heard.items, heard.ended
    with database.transaction(PLATFORM) as session:
        # Buckets come first, wherever both are locked.
        repository.lock(session, _buckets(items))
        mine = jobs.mine(
            session, me, [*(item.job.id for item in items), *(one.id for one in ended)]
        )
        items = [item for item in items if item.job.id in mine]
        ends = [*(item.ended for item in items), *(one for one in ended if one.id in mine)]
        items = [item for item in items if not item.job.trial]
        _store(session, database.service, items, now)
        for tenant in sorted({item.job.tenant for item in items}):
            set_tenant(session, database.service, tenant)
            _relate(session, tenant, [item for item in items if item.job.tenant == tenant], now)
        _rescore(session, database.service, items, now)
        set_tenant(session, database.service, PLATFORM)
        jobs.end(session, me, ends)
        provider_queues.save(session, me, heard.limiters, lease, spent=False)


def _buckets(items: Iterable[Item]) -> set[int]:
    ids = {
        identity
        for item in items
        for identity in (item.job.observable_id, *(one for one, _ in item.related()))
    }
    return {bucket(identity) for identity in ids}


def _store(session: Session, service: str, items: Sequence[Item], now: datetime) -> None:
    """Keep the answers, each where it belongs, and tell everybody who may know."""
    by_target: dict[str, dict[tuple[str, str], Item]] = {}
    for item in items:
        if item.raw is not None:
            by_target.setdefault(item.target, {})[item.job.observable_id, item.enricher.name] = item
    for target, listed in by_target.items():
        set_tenant(session, service, target)
        answers.put(session, target, [_stored(item) for item in listed.values()], now)
        publish(session, [_event(item, target) for item in listed.values()])


def _stored(item: Item) -> Stored:
    return Stored(
        item.job.observable_id,
        item.enricher.name,
        item.finding,
        item.obtained_at,
        item.obtained_at + item.enricher.lifetime,
        item.obtained_at + item.enricher.weights_lifetime,
        zstandard.compress(item.raw or b"", 3),
    )


def _event(item: Item, tenant: str) -> Event[Enriched]:
    job = item.job
    identity = f"{stix_type(job.type)}--{job.observable_id}"
    facts = dict(item.finding.facts) if item.finding else {}
    said = Enriched(
        identity,
        job.type,
        job.value,
        job.enricher,
        facts,
        item.obtained_at.isoformat(),
        is_known=item.finding is not None,
    )
    return Event(ENRICHED, said, tenant, EVENT_SOURCE, identity.encode())


def _relate(session: Session, tenant: str, items: Sequence[Item], now: datetime) -> None:
    """Store what answers name: relations, and observables that were not known, which a policy may follow."""
    named = {identity: one for item in items for identity, one in item.related()}
    if not named:
        return
    unknown = named.keys() - answers.standing(session, tenant, sorted(named)).keys()
    changes: list[Change] = []
    for item in items:
        fresh = {
            identity: _observable(one) for identity, one in item.related() if identity in unknown
        }
        unknown -= fresh.keys()
        depth = item.job.depth + 1
        scored = upsert.scores(session, tenant, list(fresh), now)
        contexts = upsert.put(session, tenant, fresh, now, depth=depth, tlp=item.marking)
        changes += [_new(identity, one, scored.get(identity)) for identity, one in fresh.items()]
        triggers.follow(session, tenant, item.job, fresh, contexts, now)
    reported.put_relations(session, _relations(tenant, items, now))
    rescore.publish_changes(session, tenant, changes, "enrichment")


def _observable(one: RelatedObservable) -> Observable:
    return Observable(ObservableType(one.type), one.value)


def _new(identity: str, one: Observable, public: ScoreUpdate | None) -> Change:
    score = public.score if public else 0
    return Change(
        f"{stix_type(one.type)}--{identity}", one.type, one.value, "new", score, None, (), 0
    )


def _relations(tenant: str, items: Iterable[Item], now: datetime) -> list[dict[str, Any]]:
    rows = {}
    for item in items:
        for identity, one in item.related():
            ends = (item.job.observable_id, identity)
            start, end = ends[::-1] if one.inward else ends
            rows[start, one.kind, end, item.enricher.name] = {
                "tenant": tenant,
                "from_id": UUID(start),
                "kind": one.kind,
                "to_id": UUID(end),
                "source": item.enricher.name,
                "first_seen": item.obtained_at,
                "last_seen": item.obtained_at,
                "recorded_at": now,
            }
    return [rows[key] for key in sorted(rows)]


def _rescore(session: Session, service: str, items: Iterable[Item], now: datetime) -> None:
    """Look again at the scores of what was asked about: the tenant's own, and the public one of a shared answer."""
    by_tenant: dict[str, set[str]] = {}
    for item in items:
        for tenant in {item.job.tenant, item.target}:
            by_tenant.setdefault(tenant, set()).add(item.job.observable_id)
    for tenant, ids in sorted(by_tenant.items()):
        set_tenant(session, service, tenant)
        rescore.publish_changes(
            session, tenant, rescore.rescore(session, tenant, sorted(ids), now), "enrichment"
        )

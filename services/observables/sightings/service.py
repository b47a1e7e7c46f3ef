"""What people and sensors report: where an observable was seen, that it is harmless, what it has to do with another."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.lookup import read_models
from services.observables.lookup import repository as reads
from services.observables.lookup.read_models import View
from services.observables.reference import context
from services.observables.scoring.decay import THRESHOLDS
from services.observables.sightings import repository as reported
from services.observables.store import plan, repository, rescore, upsert
from services.observables.store.references import Reference
from shared.database import Database, driver_connection
from shared.errors import Conflict, InvalidInput, NotFound
from shared.events.observables import Change, ChangeKind
from shared.kafka.outbox import audit
from shared.stix import (
    NotAnObservable,
    Observable,
    ObservableType,
    bucket,
    detect,
    normalise,
    stix_id,
)
from shared.stix.ids import SENTINELIQ_NAMESPACE, observable_id


class Report(NamedTuple):
    """One sighting as it was reported.

    Attributes:
        id: given by the reporter, or made from the content: a report that is sent twice counts once.
        kind: seen or false-positive.
        times: how often, in all.
        place: where, for instance a sensor's name.
    """

    id: UUID
    found: Observable
    kind: str
    times: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime

    @property
    def observable(self) -> str:
        """The observable's UUID."""
        return observable_id(self.found.type, self.found.value)


class Outcome(NamedTuple):
    """What came of a report: `known` when it had been made before."""

    report: Report
    known: bool
    view: View | Reference


def observable_of(value: str, type_: ObservableType | None, field: str) -> Observable:
    """The observable that a text is, of a type or of the one it looks like; defanged forms are understood.

    Raises:
        InvalidInput: it is none, with the reason.
    """
    try:
        return detect(value) if type_ is None else Observable(type_, normalise(type_, value))
    except NotAnObservable as error:
        raise InvalidInput(f"{field}: {error}", field=field) from None


def report_id(tenant: str, actor: str, *content: object) -> UUID:
    """The id of a report without one."""
    return uuid5(SENTINELIQ_NAMESPACE, "\x1f".join([tenant, actor, *map(str, content)]))


def report(database: Database, tenant: str, actor: str, reports: Sequence[Report]) -> list[Outcome]:
    """Store sightings and announce the scores they move; one that is known changes nothing.

    Raises:
        Conflict: an id is that of a sighting of something else.
    """
    ids = {one.observable: one.found for one in reports}
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        repository.lock(session, {bucket(one.observable) for one in reports})
        _check_ids(reports, reported.sighted(session, tenant, [one.id for one in reports]))
        before = read_models.views(reads.gather(driver_connection(session), tenant, ids), now)
        upsert.put(session, tenant, ids, now)
        stored = reported.put_sightings(session, [_row(one, tenant, actor) for one in reports])
        after = read_models.views(reads.gather(driver_connection(session), tenant, ids), now)
        touched = {one.observable for one in reports if one.id in stored}
        _rescore(session, tenant, after, touched, now)
        changes = [_change(before.get(one), after[one]) for one in sorted(touched)]
        rescore.publish_changes(session, tenant, changes, "sighting")
    return [
        Outcome(one, one.id not in stored, after.get(one.observable) or _nothing(one.found))
        for one in reports
    ]


def _nothing(found: Observable) -> Reference:
    """What is known of a value of which nothing was said but a report that was withdrawn."""
    return Reference(stix_id(found.type, found.value), found.type, found.value, 0, "none")


def _check_ids(reports: Sequence[Report], known: dict[UUID, str]) -> None:
    for number, one in enumerate(reports):
        if known.setdefault(one.id, one.observable) != one.observable:
            raise Conflict(
                f"A sighting is of one value, and {one.id} is of another than {one.found.value}: give each its own id.",
                field=f"sightings.{number}.id",
            )


def _row(one: Report, tenant: str, actor: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "id": one.id,
        "observable_id": UUID(one.observable),
        "kind": one.kind,
        "count": one.times,
        "place": one.place,
        "note": one.note,
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
        "actor": actor,
        "recorded_at": datetime.now(UTC),
    }


def _rescore(
    session: Session, tenant: str, after: dict[str, View], touched: set[str], now: datetime
) -> None:
    known = repository.known(session, tenant, sorted(touched))
    scored = []
    for identity, one in known.items():
        own = plan.evaluate(one.type, one.said, one.claims, one.effects, now)
        scored.append((identity, own._replace(score=after[identity].score)))
    repository.write_scores(session, tenant, scored, now)


def _change(before: View | None, after: View) -> Change:
    lapsed = before is not None and after.score < THRESHOLDS[-1] <= before.score
    kind: ChangeKind = "new" if before is None else "expired" if lapsed else "changed"
    tags, sources = (
        tuple(after.tags),
        sum(one.retracted_at is None for one in read_models.assertions(after)),
    )
    score = before.score if before else None
    return Change(
        after.id,
        after.type,
        after.value,
        kind,
        after.score,
        score,
        tags,
        sources,
        tuple(after.attack),
    )


def withdraw(database: Database, tenant: str, actor: str, sighting: UUID) -> None:
    """Take a report back: from now on it counts for nothing, and the score it moved is told. Twice is once.

    Raises:
        NotFound: the tenant has no such sighting.
    """
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        identity = reported.sighted(session, tenant, [sighting]).get(sighting)
        if identity is None:
            raise NotFound(f"There is no sighting {sighting} in this tenant.")
        repository.lock(session, {bucket(identity)})
        if not reported.withdraw_sighting(session, tenant, sighting, now):
            return
        one = repository.known(session, tenant, [identity])[identity]
        active = [said for said in one.said if said.active(now)]
        fresh = plan.evaluate(one.type, active, one.claims, one.effects, now)
        repository.write_scores(session, tenant, [(identity, fresh)], now)
        rescore.publish_changes(
            session, tenant, [plan.changed(identity, one, fresh.score, active)], "sighting"
        )
        audit(
            session,
            SERVICE,
            tenant,
            actor,
            "sightings.withdraw",
            sighting,
            observable=one.value[:200],
        )


class Link(NamedTuple):
    """A relation that somebody reports."""

    from_: Observable
    kind: str
    to: Observable
    first_seen: datetime
    last_seen: datetime


def relate(
    database: Database, tenant: str, actor: str, links: Sequence[Link]
) -> list[tuple[str, str]]:
    """Store relations between observables that are known; STIX ids of their ends.

    Raises:
        InvalidInput: one of the ends is not known to the tenant.
    """
    ids = {
        observable_id(one.type, one.value): one for link in links for one in (link.from_, link.to)
    }
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        known = read_models.views(reads.gather(driver_connection(session), tenant, ids), now)
        unknown = [one.value for identity, one in ids.items() if identity not in known]
        if unknown:
            raise InvalidInput(
                f"Nothing is known about {unknown[0]}; report a sighting of it first.",
                field="value",
            )
        rows = {
            (row["from_id"], row["kind"], row["to_id"]): row
            for row in (_link(one, tenant, actor, now) for one in links)
        }
        reported.put_relations(session, [rows[key] for key in sorted(rows)])
    return [
        (stix_id(one.from_.type, one.from_.value), stix_id(one.to.type, one.to.value))
        for one in links
    ]


def _link(one: Link, tenant: str, actor: str, now: datetime) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "from_id": UUID(observable_id(one.from_.type, one.from_.value)),
        "kind": one.kind,
        "to_id": UUID(observable_id(one.to.type, one.to.value)),
        "source": actor,
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
        "recorded_at": now,
    }

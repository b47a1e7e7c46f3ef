"""Reports of people and sensors: an observable was seen, is harmless, or is related to another."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.quotas.limits import SIGHTINGS
from services.observables.reference import context
from services.observables.scoring.inputs import ObservableState, ScoreUpdate
from services.observables.sightings import repository
from services.observables.sightings.repository import NewSighting
from services.observables.store import new_observables, rescore
from services.observables.store.changes import build_change
from services.observables.store.references import ObservableReference, read_references, reference_to
from services.observables.store.repository import read, relations, write
from services.observables.store.repository.relations import NewRelation
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound
from shared.events.observables import Change
from shared.kafka.outbox import audit
from shared.quotas import require_rate, spend
from shared.stix import Observable, bucket, stix_id
from shared.stix.ids import SENTINELIQ_NAMESPACE, observable_id

_BATCH: Final = 50
"""Reports of a transaction."""


class SightingReport(NamedTuple):
    """One sighting as it was reported.

    Attributes:
        id: the reporter's, or made from the content: a report that is sent twice counts once.
        kind: `seen`, `confirmed-malicious` or `false-positive`.
        times: how often, in all.
        place: where it was seen, for instance the name of a sensor.
    """

    id: UUID
    observable: Observable
    kind: str
    times: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime

    @property
    def observable_id(self) -> str:
        """The observable's UUID."""
        return observable_id(self.observable.type, self.observable.value)


class SightingOutcome(NamedTuple):
    """The outcome of a report: whether it repeats an earlier one, and the observable's score."""

    report: SightingReport
    is_repeated: bool
    observable: ObservableReference


def report_id(tenant: str, actor: str, *content: object) -> UUID:
    """The id of a report that was sent without one."""
    return uuid5(SENTINELIQ_NAMESPACE, "\x1f".join([tenant, actor, *map(str, content)]))


def report(
    database: Database, tenant: str, actor: str, reports: Sequence[SightingReport]
) -> list[SightingOutcome]:
    """Store sightings and publish the scores they move; a repeated report changes nothing.

    Many reports are stored in several transactions: if one of them fails, those before it stay.

    Raises:
        RateExceeded: the tenant has reported as many as it may today.
        Conflict: an id is that of a sighting of another observable.
    """
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        stored_ids = _check_ids(session, tenant, reports)
        # They are spent where they are stored: what is repeated, or fails, costs nothing.
        count = len({report.id for report in reports} - stored_ids)
        require_rate(session, tenant, SIGHTINGS, count)
    outcomes: dict[int, SightingOutcome] = {}
    for batch in _batches(reports):
        stored = _store(database, tenant, actor, [reports[number] for number in batch], now)
        outcomes |= zip(batch, stored, strict=True)
    return [outcomes[number] for number in range(len(reports))]


def _batches(reports: Sequence[SightingReport]) -> Iterator[list[int]]:
    """The places of reports, in batches that lock few buckets each, and each for a short time.

    The locks of buckets are everybody's: a transaction of a thousand reports would hold them all.
    """
    keys = [(bucket(report.observable_id), report.observable_id) for report in reports]
    places = sorted(range(len(reports)), key=keys.__getitem__)
    for start in range(0, len(places), _BATCH):
        yield places[start : start + _BATCH]


def _store(
    database: Database,
    tenant: str,
    actor: str,
    reports: Sequence[SightingReport],
    now: datetime,
) -> list[SightingOutcome]:
    """Store some reports in a transaction of their own."""
    observables = {report.observable_id: report.observable for report in reports}
    ids = sorted(observables)
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        write.lock(session, {bucket(identity) for identity in ids})
        _check_ids(session, tenant, reports)
        before = read.read_states(session, tenant, ids)
        new_observables.put(session, tenant, observables, now)
        rows = [_row(report, tenant, actor, now) for report in reports]
        new_ids = repository.put_sightings(session, rows)
        spend(session, tenant, SIGHTINGS, len(new_ids))
        after = read.read_states(session, tenant, ids)
        causes = {
            report.observable_id: f"sighting {report.id}"
            for report in reports
            if report.id in new_ids
        }
        _rescore(session, tenant, before, after, causes, now)
    references = {identity: reference_to(identity, after[identity], now) for identity in ids}
    return [
        SightingOutcome(report, report.id not in new_ids, references[report.observable_id])
        for report in reports
    ]


def _check_ids(session: Session, tenant: str, reports: Sequence[SightingReport]) -> set[UUID]:
    """Require that each id is of one observable; those that are stored already."""
    stored = repository.observables_of(session, tenant, [report.id for report in reports])
    stored_ids = set(stored)
    for number, report in enumerate(reports):
        if stored.setdefault(report.id, report.observable_id) != report.observable_id:
            raise Conflict(
                f"The sighting {report.id} is of another value than {report.observable.value}: "
                "give each sighting its own id.",
                field=f"sightings.{number}.id",
            )
    return stored_ids


def _row(report: SightingReport, tenant: str, actor: str, now: datetime) -> NewSighting:
    return NewSighting(
        tenant,
        report.id,
        UUID(report.observable_id),
        report.kind,
        report.times,
        report.place,
        report.note,
        report.first_seen,
        report.last_seen,
        actor,
        now,
    )


def _rescore(
    session: Session,
    tenant: str,
    before: dict[str, ObservableState],
    after: dict[str, ObservableState],
    causes: Mapping[str, str],
    now: datetime,
) -> None:
    """Write the scores of observables after a report, and publish each as a change.

    Args:
        session: the tenant's transaction.
        tenant: the tenant.
        before: the observables before the report.
        after: the same after it.
        causes: the sighting that changes each of the observables to rescore.
        now: the time of the scores.
    """
    scored: list[tuple[str, ScoreUpdate]] = []
    changes: list[Change] = []
    for identity, cause in sorted(causes.items()):
        state = after[identity]
        fresh = state.evaluate(now)
        scored.append((identity, fresh))
        seen = before.get(identity)
        if seen is not None and not seen.visible:
            seen = None
        changes.append(
            build_change(identity, seen, state, fresh.score, state.active(now), now, cause)
        )
    write.write_scores(session, tenant, scored, now)
    rescore.publish_changes(session, tenant, changes, "sighting")


def withdraw(database: Database, tenant: str, actor: str, sighting: UUID) -> None:
    """Withdraw a sighting: it counts no more, and the score it moved is published. Twice is once.

    Raises:
        NotFound: the tenant has no such sighting.
    """
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        context.reload_if_stale(session)
        identity = repository.observables_of(session, tenant, [sighting]).get(sighting)
        if identity is None:
            raise NotFound(f"There is no sighting {sighting} in this tenant.")
        write.lock(session, {bucket(identity)})
        before = read.read_states(session, tenant, [identity])
        if not repository.withdraw_sighting(session, tenant, sighting, now):
            return
        after = read.read_states(session, tenant, [identity])
        causes = {identity: f"withdrawn sighting {sighting}"}
        _rescore(session, tenant, before, after, causes, now)
        audit(
            session,
            NAME,
            tenant,
            actor,
            "sightings.withdraw",
            sighting,
            observable=after[identity].value[:200],
        )


class ReportedRelation(NamedTuple):
    """A relation that a user reports."""

    from_: Observable
    kind: str
    to: Observable
    first_seen: datetime
    last_seen: datetime


def relate(
    database: Database, tenant: str, actor: str, reported: Sequence[ReportedRelation]
) -> list[tuple[str, str]]:
    """Store relations between stored observables; return the STIX ids of their ends.

    Raises:
        InvalidInput: the tenant does not see one of the ends.
    """
    ends: dict[str, Observable] = {}
    for relation in reported:
        for end in (relation.from_, relation.to):
            ends[observable_id(end.type, end.value)] = end
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        visible = read_references(session, tenant, ends, now)
        for identity, end in ends.items():
            if identity not in visible:
                raise InvalidInput(
                    f"Nothing is known about {end.value}; report a sighting of it first.",
                    field="value",
                )
        # Of a relation that is reported twice the last report counts.
        rows: dict[tuple[UUID, str, UUID], NewRelation] = {}
        for relation in reported:
            row = _relation_row(relation, tenant, actor, now)
            rows[row.from_id, row.kind, row.to_id] = row
        relations.put_relations(session, list(rows.values()))
    return [
        (
            stix_id(relation.from_.type, relation.from_.value),
            stix_id(relation.to.type, relation.to.value),
        )
        for relation in reported
    ]


def _relation_row(
    relation: ReportedRelation, tenant: str, actor: str, now: datetime
) -> NewRelation:
    return NewRelation(
        tenant,
        UUID(observable_id(relation.from_.type, relation.from_.value)),
        relation.kind,
        UUID(observable_id(relation.to.type, relation.to.value)),
        actor,
        relation.first_seen,
        relation.last_seen,
        now,
    )

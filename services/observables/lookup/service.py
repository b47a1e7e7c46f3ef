"""Single observables, lists, explanations: the answers of the observables service that are not looked up by value."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from services.observables.lookup import read_models, repository
from services.observables.lookup.read_models import View
from services.observables.lookup.repository import Filter, RelationPlace
from services.observables.scoring import score as scoring
from services.observables.scoring.score import Verdict
from services.observables.store.references import Reference, uuid_of
from services.observables.store.service import PATIENCE
from shared.database import Database, driver_connection
from shared.errors import InvalidInput, NotFound
from shared.pagination import decode_cursor, encode_cursor


class Page(msgspec.Struct):
    """A page of observables; `next` goes into `after` for the one that follows."""

    items: list[View]
    next: str | None


class Part(msgspec.Struct):
    """One part of a score."""

    kind: str
    name: str
    weight: float
    left: float
    points: float
    reason: str


class Explanation(msgspec.Struct):
    """A score and the parts that add up to it."""

    id: str
    value: str
    score: int
    verdict: Verdict
    contributions: list[Part]


class Relation(msgspec.Struct):
    """A relation from (`out`) or to (`in`) the observable that was asked about."""

    kind: str
    direction: str
    other: Reference
    source: str
    first_seen: datetime
    last_seen: datetime


class RelationPage(msgspec.Struct):
    """A page of relations; `next` goes into `after` for the one that follows."""

    items: list[Relation]
    next: str | None


def past(moment: datetime | None) -> datetime | None:
    """A moment of the past that can be asked about.

    Raises:
        InvalidInput: it has not come yet.
    """
    if moment is None:
        return None
    if moment > datetime.now(UTC):
        raise InvalidInput(f"{moment.isoformat()} has not come yet.", field="as_of")
    return moment


def observable(
    database: Database, tenant: str, identity: str, as_of: datetime | None = None
) -> View:
    """One observable by its STIX id, now or as it was known at a moment.

    Raises:
        InvalidInput: the id is none.
        NotFound: the tenant sees, or saw, no such observable.
    """
    return _known(database, tenant, identity, as_of)[0]


def explain(
    database: Database, tenant: str, identity: str, as_of: datetime | None = None
) -> Explanation:
    """The score with each voice's part in it; the parts add up to the score."""
    found, parts = _known(database, tenant, identity, as_of)
    listed = [
        Part(one.kind, one.name, one.weight, one.left, one.points, one.reason) for one in parts
    ]
    return Explanation(identity, found.value, found.score, found.verdict, listed)


def _known(
    database: Database, tenant: str, identity: str, as_of: datetime | None
) -> tuple[View, list[scoring.Contribution]]:
    uuid, now = uuid_of(identity), as_of or datetime.now(UTC)
    with database.read_transaction(tenant) as connection:
        gathered = repository.gather(connection, tenant, [uuid], as_of)
    found = read_models.views(gathered, now).get(uuid)
    if found is None or found.id != identity:
        when = f" at {as_of.isoformat()}" if as_of else ""
        raise NotFound(f"There is no observable {identity} in this tenant{when}.")
    return found, read_models.explained(gathered, now)[uuid]


def page(
    database: Database, tenant: str, conditions: Filter, after: str | None, limit: int
) -> Page:
    """One page of observables: in the order of their search keys below something, in that of their ids otherwise.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    with database.transaction(tenant, PATIENCE) as session:
        cursor = None
        if conditions.ranges:
            key = decode_cursor(after, tuple[str, UUID])
            rows = repository.page_by_key(session, tenant, conditions, key, limit)
            ids = [str(identity) for _, identity in rows]
            if len(rows) == limit:
                cursor = encode_cursor(*rows[-1])
        else:
            start = decode_cursor(after, tuple[UUID])
            ids = repository.page(session, tenant, conditions, start[0] if start else None, limit)
            if len(ids) == limit:
                cursor = encode_cursor(ids[-1])
        views = read_models.views(
            repository.gather(driver_connection(session), tenant, ids), datetime.now(UTC)
        )
    return Page([views[identity] for identity in ids if identity in views], cursor)


def count(database: Database, tenant: str, conditions: Filter) -> int:
    """How many observables the tenant sees."""
    with database.transaction(tenant, PATIENCE) as session:
        return repository.count(session, conditions)


def relations(
    database: Database, tenant: str, identity: str, kind: str | None, after: str | None, limit: int
) -> RelationPage:
    """One page of what an observable is related to, as far as the tenant sees both ends; the latest first.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    uuid = uuid_of(identity)
    with database.transaction(tenant, PATIENCE) as session:
        rows = repository.relations(
            session, tenant, uuid, kind, decode_cursor(after, RelationPlace), limit
        )
        others = {row.to_id if row.from_id == uuid else row.from_id for row in rows}
        known = read_models.views(
            repository.gather(driver_connection(session), tenant, others | {uuid}),
            datetime.now(UTC),
        )
    if uuid not in known or known[uuid].id != identity:
        raise NotFound(f"There is no observable {identity} in this tenant.")
    seen = [_relation(row, uuid, known) for row in rows if {row.from_id, row.to_id} <= known.keys()]
    return RelationPage(
        seen, encode_cursor(*repository.place_of(rows[-1])) if len(rows) == limit else None
    )


def _relation(row: Any, uuid: str, known: dict[str, View]) -> Relation:
    direction, other = ("out", row.to_id) if row.from_id == uuid else ("in", row.from_id)
    return Relation(
        row.kind,
        direction,
        read_models.reference(known[other]),
        row.source,
        row.first_seen,
        row.last_seen,
    )

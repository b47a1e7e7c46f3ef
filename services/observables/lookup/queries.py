"""Single observables, lists, explanations: the answers of the observables service that are not looked up by value."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.observables.attack import current_index
from services.observables.lookup import read_models, repository
from services.observables.lookup.assembly import TOGETHER
from services.observables.lookup.read_models import Reference, View
from services.observables.lookup.repository import Filter
from services.observables.reference import context
from services.observables.reference import repository as datasets
from services.observables.reference.datasets import DATASETS
from services.observables.reports.extraction import Extraction, Mentioned, Position
from services.observables.scoring import score as scoring
from services.observables.scoring.score import Verdict
from services.observables.trends import repository as trend_repository
from shared.database import Database, driver_connection
from shared.errors import InvalidInput, NotFound
from shared.stix.ids import observable_id

ATTACK: Final = (
    current_index.NAME,
    "MITRE ATT&CK: techniques, and the software and groups that use them",
    "MITRE ATT&CK terms of use",
)


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


def uuid_of(identity: str) -> str:
    """The UUID of a STIX id.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return str(UUID(identity.partition("--")[2]))
    except ValueError:
        raise InvalidInput(f"{identity!r} is no STIX id of an observable.", field="id") from None


def page(database: Database, tenant: str, wanted: Filter, after: str | None, limit: int) -> Page:
    """One page of observables: in the order of their search keys below something, in that of their ids otherwise.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    with database.transaction(tenant, PATIENCE) as session:
        if wanted.ranges:
            rows = repository.page_by_key(session, tenant, wanted, _key_cursor(after), limit)
            ids, last = (
                [str(identity) for _, identity in rows],
                cursor_of(*rows[-1]) if rows else None,
            )
        else:
            ids = repository.page(session, tenant, wanted, _id_cursor(after), limit)
            last = ids[-1] if ids else None
        known = read_models.views(
            repository.gather(driver_connection(session), tenant, ids), datetime.now(UTC)
        )
    return Page([known[one] for one in ids if one in known], last if len(ids) == limit else None)


PATIENCE: Final = 15
"""Seconds that a question may take which may have to look at everything there is."""


def cursor_of(key: str, identity: UUID) -> str:
    """The cursor behind the last one of a page."""
    return base64.urlsafe_b64encode(identity.bytes + key.encode()).decode()


def _key_cursor(after: str | None) -> tuple[str, UUID] | None:
    if after is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(after.encode())
        return packed[16:].decode(), UUID(bytes=packed[:16])
    except (ValueError, binascii.Error):
        raise InvalidInput(f"{after[:80]!r} is no cursor of this list.", field="after") from None


def moment_cursor(after: str | None) -> tuple[datetime, UUID] | None:
    """The place in a list in the order of time that a cursor stands for.

    Raises:
        InvalidInput: it is no cursor of such a list.
    """
    place = _key_cursor(after)
    try:
        return (datetime.fromisoformat(place[0]), place[1]) if place else None
    except ValueError:
        raise InvalidInput(f"{after!r} is no cursor of this list.", field="after") from None


def _id_cursor(after: str | None) -> UUID | None:
    try:
        return UUID(after) if after is not None else None
    except ValueError:
        raise InvalidInput(f"{after!r} is no cursor of this list.", field="after") from None


def count(database: Database, tenant: str, wanted: Filter) -> int:
    """How many observables the tenant sees."""
    with database.transaction(tenant, PATIENCE) as session:
        return repository.count(session, wanted)


class Named(msgspec.Struct):
    """A value in a document: where it stands, what is known of it, and the allow-lists it is on."""

    type: str
    value: str
    count: int
    positions: list[Position]
    observable: Reference | None
    allow_lists: list[list[str]]


class Report(msgspec.Struct):
    """What a document names."""

    observables: list[Named]
    attack: list[Mentioned]
    characters: int
    pages: int | None
    notes: list[str]


def marked(database: Database, tenant: str, found: Extraction) -> Report:
    """What a document names, with what is known of each value and the allow-lists it is on."""
    ids = [observable_id(one.type, one.value) for one in found.observables]
    known: dict[str, View] = {}
    for start in range(0, len(ids), TOGETHER):
        with database.read_transaction(tenant) as connection:
            gathered = repository.gather(connection, tenant, set(ids[start : start + TOGETHER]))
        known |= read_models.views(gathered, datetime.now(UTC))
    context.reload_if_stale_from(database)
    numbered = enumerate(found.observables)
    described = context.describe_values(
        (str(place), one.type, one.value) for place, one in numbered
    )
    named = []
    for place, (one, identity) in enumerate(zip(found.observables, ids, strict=True)):
        hits = (
            context.decoded(described.get(str(place), context.NOTHING))
            .get("allow_lists", {})
            .get("hits", [])
        )
        view = known.get(identity)
        reference = read_models.reference(view) if view and view.type == one.type else None
        named.append(Named(one.type, one.value, one.count, one.positions, reference, hits))
    return Report(named, found.attack, found.characters, found.pages, found.notes)


def relations(
    database: Database, tenant: str, identity: str, kind: str | None, after: str | None, limit: int
) -> RelationPage:
    """One page of what an observable is related to, as far as the tenant sees both ends; the latest first.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    uuid = uuid_of(identity)
    with database.transaction(tenant, PATIENCE) as session:
        rows = repository.relations(session, tenant, uuid, kind, _relation_cursor(after), limit)
        others = {row.to_id if row.from_id == uuid else row.from_id for row in rows}
        known = read_models.views(
            repository.gather(driver_connection(session), tenant, others | {uuid}),
            datetime.now(UTC),
        )
    if uuid not in known or known[uuid].id != identity:
        raise NotFound(f"There is no observable {identity} in this tenant.")
    seen = [_relation(row, uuid, known) for row in rows if {row.from_id, row.to_id} <= known.keys()]
    return RelationPage(seen, _cursor_of_relation(rows[-1]) if len(rows) == limit else None)


def _cursor_of_relation(row: Any) -> str:
    place = [row.last_seen.isoformat(), row.to_id, row.kind, row.source, row.tenant]
    return cursor_of(msgspec.json.encode(place).decode(), UUID(row.from_id))


def _relation_cursor(after: str | None) -> repository.RelationPlace | None:
    place = _key_cursor(after)
    if place is None:
        return None
    try:
        at, to, kind, source, owner = msgspec.json.decode(
            place[0], type=tuple[datetime, str, str, str, str]
        )
    except msgspec.DecodeError:
        raise InvalidInput(f"{after!r} is no cursor of this list.", field="after") from None
    return (at, str(place[1]), to, kind, source, owner)


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


def trends(
    database: Database,
    tenant: str,
    kind: str | None,
    since: datetime | None,
    after: str | None,
    limit: int,
) -> dict[str, Any]:
    """A page of trends, the newest first.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    newest = moment_cursor(after)
    with database.transaction(tenant) as session:
        rows = [
            dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name
            for row in trend_repository.page(session, since, kind, limit, newest)
        ]
    full = len(rows) == limit
    return {
        "items": rows,
        "next": cursor_of(rows[-1]["announced_at"].isoformat(), rows[-1]["id"]) if full else None,
    }


def reference(database: Database, tenant: str) -> list[dict[str, Any]]:
    """Every set of reference data, those that are not here yet too."""
    with database.transaction(tenant) as session:
        known = {row.name: row._mapping for row in datasets.overview(session)}  # noqa: SLF001
    nothing = dict.fromkeys(("origin", "bytes", "obtained_at", "checked_at", "error"))
    listed = [*((one.name, one.title, one.licence) for one in DATASETS), ATTACK]
    return [
        {**nothing, **known.get(name, {}), "name": name, "title": title, "licence": licence}
        for name, title, licence in listed
    ]


def sources(database: Database, tenant: str) -> list[dict[str, Any]]:
    """The sources the tenant can see, each with how many observables it asserts now."""
    with database.transaction(tenant, PATIENCE) as session:
        return [dict(row._mapping) for row in repository.sources(session)]  # noqa: SLF001  # SQLAlchemy's public name


def run(database: Database, tenant: str, run_id: UUID) -> dict[str, Any]:
    """How far a feed run came here: chunks and indicators received, observables new, changed, rejected."""
    with database.transaction(tenant) as session:
        return dict(repository.run_progress(session, run_id)._mapping)  # noqa: SLF001  # SQLAlchemy's public name

"""Single observables, lists, explanations and relations."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from services.observables.lookup import read_models, repository
from services.observables.lookup.read_models import (
    DataDates,
    ObservableView,
    ScoreParts,
    ZonedTime,
)
from services.observables.lookup.repository import Filter
from services.observables.scoring.assessment import AssessmentParts
from services.observables.scoring.claims import Contribution, Verdict
from services.observables.store.models import HISTORY_DAYS
from services.observables.store.references import ObservableReference, read_references, uuid_of
from services.observables.store.repository import read, relations
from services.observables.store.repository.relations import (
    RelationFilter,
    RelationPlace,
    RelationRow,
)
from services.observables.store.service import PATIENCE
from shared.database import Database, driver_connection
from shared.errors import InvalidInput, NotFound
from shared.pagination import decode_cursor, paginate
from shared.settings import load_settings

_MAX_COUNTED: Final = 100_000
"""Relations of one observable that are counted at most: a hub has millions."""


class ObservablePage(msgspec.Struct):
    """A page of observables; `next`, sent back as `after`, gives the page behind it."""

    items: list[ObservableView]
    next: str | None


class Explanation(msgspec.Struct):
    """A score and the parts that add up to it."""

    id: str
    value: str
    score: int
    verdict: Verdict
    contributions: Sequence[Contribution]
    assessment: Annotated[
        msgspec.Raw,
        Meta(
            description="the three numbers behind the verdict, and the sentence that they make",
            extra_json_schema={
                "anyOf": [{"$ref": "#/components/schemas/Assessment"}, {"type": "null"}]
            },
        ),
    ]
    numbers: Annotated[
        AssessmentParts | None,
        Meta(
            description="the parts that add up to each of the three numbers; null for times at "
            "which the first model of scores held"
        ),
    ]


class DatedPage(ObservablePage):
    """A page of observables, with the dates of the reference data behind it."""

    reference: DataDates


class DatedExplanation(Explanation):
    """A score and its parts, with the dates of the reference data behind them."""

    reference: DataDates


class RelationView(msgspec.Struct):
    """A relation from (`out`) or to (`in`) an observable."""

    kind: str
    direction: Literal["in", "out"]
    other: ObservableReference
    source: Annotated[str, Meta(description="the actor, the enricher or the feed that reported it")]
    first_seen: ZonedTime
    last_seen: ZonedTime


class RelationCount(msgspec.Struct):
    """How many relations of one kind go from (`out`) or to (`in`) an observable."""

    kind: str
    direction: Literal["in", "out"]
    count: int


class RelationCounts(msgspec.Struct):
    """The relations of an observable, counted; each source that reports one counts."""

    items: list[RelationCount]
    total: int
    complete: Annotated[
        bool, Meta(description="false: there are more than were read, and the counts are too low")
    ]


class RelationPage(msgspec.Struct):
    """A page of relations; `next`, sent back as `after`, gives the page behind it."""

    items: list[RelationView]
    next: str | None


def check_past(moment: datetime | None) -> datetime | None:
    """Return a moment that is neither in the future nor before the history that is kept.

    Raises:
        InvalidInput: the moment is in the future, or too long ago.
    """
    if moment is None:
        return None
    now = datetime.now(UTC)
    if moment > now:
        raise InvalidInput("`as_of` must not be in the future.", field="as_of")
    days = load_settings().retention_days.get("observables.history", HISTORY_DAYS)
    if now - moment > timedelta(days=days):
        raise InvalidInput(
            f"`as_of` is too long ago: history is kept for {days} days.", field="as_of"
        )
    return moment


def observable(
    database: Database, tenant: str, identity: str, as_of: datetime | None = None
) -> ObservableView:
    """One observable by its STIX id, now or as recorded at a moment.

    Raises:
        InvalidInput: the id is no STIX id.
        NotFound: the tenant sees, or saw, no such observable.
    """
    return _read_view(database, tenant, identity, as_of)[0]


def explain(
    database: Database, tenant: str, identity: str, as_of: datetime | None = None
) -> Explanation:
    """The score of an observable, with the parts that add up to it.

    Raises:
        InvalidInput: the id is no STIX id.
        NotFound: the tenant sees, or saw, no such observable.
    """
    view, parts = _read_view(database, tenant, identity, as_of)
    return Explanation(
        identity,
        view.value,
        view.score,
        view.verdict,
        parts.contributions,
        view.assessment,
        parts.numbers,
    )


def _read_view(
    database: Database, tenant: str, identity: str, as_of: datetime | None
) -> tuple[ObservableView, ScoreParts]:
    uuid = uuid_of(identity)
    now = as_of or datetime.now(UTC)
    with database.read_transaction(tenant) as connection:
        rows = read.read_rows(connection, tenant, [uuid], as_of)
    view = read_models.views(rows, now).get(uuid)
    if view is None or view.id != identity:
        when = f" at {as_of.isoformat()}" if as_of else ""
        raise NotFound(f"There is no observable {identity} in this tenant{when}.")
    return view, read_models.score_parts(rows, now)[uuid]


def page(
    database: Database, tenant: str, conditions: Filter, after: str | None, limit: int
) -> ObservablePage:
    """One page of observables.

    They are in the order of their ids; below something, in the order of names and addresses.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    with database.transaction(tenant, PATIENCE) as session:
        if conditions.ranges:
            key = decode_cursor(after, tuple[str, UUID])
            places = paginate(
                repository.page_by_key(session, tenant, conditions, key, limit + 1),
                limit,
                lambda place: place,
            )
            ids = [str(identity) for _, identity in places.items]
            cursor = places.next
        else:
            start = decode_cursor(after, tuple[UUID])
            listed = paginate(
                repository.page(
                    session, tenant, conditions, start[0] if start else None, limit + 1
                ),
                limit,
                lambda identity: (identity,),
            )
            ids = listed.items
            cursor = listed.next
        rows = read.read_rows(driver_connection(session), tenant, ids)
    views = read_models.views(rows, datetime.now(UTC))
    return ObservablePage([views[identity] for identity in ids if identity in views], cursor)


def count(database: Database, tenant: str, conditions: Filter) -> int:
    """How many observables match."""
    with database.transaction(tenant, PATIENCE) as session:
        return repository.count(session, conditions)


def list_relations(
    database: Database,
    tenant: str,
    identity: str,
    kind: str | None,
    direction: Literal["in", "out"] | None,
    after: str | None,
    limit: int,
) -> RelationPage:
    """One page of the relations of which the tenant sees both ends; the last seen first.

    Raises:
        InvalidInput: the id is no STIX id, or `after` is no cursor of such a list.
        NotFound: the tenant sees no such observable.
    """
    uuid = uuid_of(identity)
    place = decode_cursor(after, RelationPlace)
    narrowed = RelationFilter(kind, direction)
    with database.transaction(tenant, PATIENCE) as session:
        rows = relations.read_relations(session, tenant, uuid, narrowed, place, limit + 1)
        listed = paginate(rows, limit, lambda row: row.place)
        ends = {uuid}
        for row in listed.items:
            ends |= {row.place.from_id, row.place.to_id}
        references = read_references(session, tenant, ends, datetime.now(UTC))
    _check_seen(identity, references.get(uuid))
    items = []
    for row in listed.items:
        other = row.place.to_id if row.place.from_id == uuid else row.place.from_id
        if other in references:
            items.append(_relation_view(row, uuid, references[other]))
    return RelationPage(items, listed.next)


def count_relations(database: Database, tenant: str, identity: str) -> RelationCounts:
    """Count the relations of an observable by kind and direction, 100,000 at most.

    Raises:
        InvalidInput: the id is no STIX id.
        NotFound: the tenant sees no such observable.
    """
    uuid = uuid_of(identity)
    with database.transaction(tenant, PATIENCE) as session:
        references = read_references(session, tenant, {uuid}, datetime.now(UTC))
        _check_seen(identity, references.get(uuid))
        rows = relations.count_relations(session, tenant, uuid, _MAX_COUNTED + 1)
    total = sum(row.total for row in rows)
    return RelationCounts(
        [RelationCount(*row) for row in rows], min(total, _MAX_COUNTED), total <= _MAX_COUNTED
    )


def _check_seen(identity: str, reference: ObservableReference | None) -> None:
    if reference is None or reference.id != identity:
        raise NotFound(f"There is no observable {identity} in this tenant.")


def _relation_view(row: RelationRow, uuid: str, other: ObservableReference) -> RelationView:
    last_seen, from_id, _, kind, source, _ = row.place
    direction: Literal["in", "out"] = "out" if from_id == uuid else "in"
    return RelationView(kind, direction, other, source, row.first_seen, last_seen)

"""What is stored about observables, by id: as states to compare with, and as rows to answer with.

Both see the tenant's own rows and the public ones. Rows have names; queries select the columns in
their order.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import psycopg
from sqlalchemy.orm import Session

from services.observables.providers.registry import origin_of
from services.observables.reference import context
from services.observables.scoring.inputs import (
    EnrichmentWeight,
    ObservableState,
    SightingRow,
    StoredAssertion,
    reported_claims,
)
from shared.database import PUBLIC, driver_connection
from shared.uuids import UuidArray

Row = tuple[Any, ...]
_T = TypeVar("_T")

# Columns that both ways of reading share, in the order of `StoredAssertion` and `SightingRow`.
_ASSERTION_COLUMNS: Final = (
    "a.tenant, s.name, a.source_id::text, s.tlp, a.first_seen, s.reliability, a.confidence, "
    "a.tags, a.attack, a.malware, a.last_seen, a.valid_until, a.retracted_at, s.kind, "
    "s.confirmed_at, a.observed_at, s.origin, s.derived_from, s.measurements"
)
_SIGHTING_COLUMNS: Final = (
    "observable_id::text, id::text, kind, count, place, note, first_seen, last_seen, actor"
)
_source_name_and_id: Final = itemgetter(2, 3)
_decode_weights: Final = msgspec.json.Decoder(list[tuple[float, str]]).decode


def newest_answers(columns: str, answers: str) -> str:
    """The query of the newest answer of each enricher to each observable.

    Of a tenant's own answer and a shared one the newer counts, not both.

    Args:
        columns: what is selected beside the observable's id.
        answers: the rows of the FROM clause, with its conditions.
    """
    return (
        "SELECT DISTINCT ON (observable_id, enricher) "  # noqa: S608
        f"observable_id::text, {columns} FROM {answers} "
        "ORDER BY observable_id, enricher, obtained_at DESC"
    )


# States: what ingest, reports and enrichment compare with.

_STATES: Final = """
SELECT id::text, type, value, score, context::text, changed_at, due_at, depth, tlp,
    tenant = %(tenant)s FROM observable
WHERE tenant = ANY(%(tenants)s) AND id = ANY(%(ids)s)"""
_DATA: Final = (
    "tenant, source_id, confidence, tags, attack, malware, first_seen, last_seen, valid_until, "
    "retracted_at, observed_at"
)
# Sources assert the same about most of what they list: assertions that are alike are one row with
# the ids of all their observables, as PostgreSQL writes an array.
_STATE_ASSERTIONS: Final = (
    f"SELECT a.ids, {_ASSERTION_COLUMNS} "  # noqa: S608
    f"FROM (SELECT array_agg(observable_id)::text AS ids, {_DATA} FROM assertion "
    "WHERE tenant = ANY(%(tenants)s) AND observable_id = ANY(%(ids)s) "
    f"GROUP BY {_DATA}) a JOIN source s ON s.tenant = a.tenant AND s.id = a.source_id"
)
_STATE_SIGHTINGS: Final = (
    f"SELECT {_SIGHTING_COLUMNS} FROM sighting "  # noqa: S608
    "WHERE tenant = ANY(%(tenants)s) AND observable_id = ANY(%(ids)s) AND withdrawn_at IS NULL"
)
_STATE_WEIGHTS: Final = newest_answers(
    "enricher, weights::text, obtained_at, counts_until",
    # The public answer about an observable may be there although the observable is not public.
    f"enrichment WHERE tenant IN (%(tenant)s, '{PUBLIC}') AND observable_id = ANY(%(ids)s)",
)


def read_states(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, ObservableState]:
    """What is stored about observables, by id.

    One query when none is stored; public assertions are read only when one is public.
    """
    tenants = [tenant] if tenant == PUBLIC else [tenant, PUBLIC]
    arguments = {"tenant": tenant, "tenants": tenants, "ids": UuidArray(ids)}
    with driver_connection(session).cursor(binary=True) as cursor:
        cursor.execute(_STATES, arguments)
        states, is_public = _read_observables(cursor)
        if not states:
            return states
        if not is_public:
            arguments["tenants"] = [tenant]
        cursor.execute(_STATE_ASSERTIONS, arguments)
        public = _add_assertions(cursor, states, tenant)
        sightings = _grouped(cursor.execute(_STATE_SIGHTINGS, arguments), SightingRow._make)
        weights = _grouped(cursor.execute(_STATE_WEIGHTS, arguments), _weight)
    for identity in states.keys() & (public.keys() | sightings.keys() | weights.keys()):
        claims, effects = reported_claims(sightings.get(identity, ()), weights.get(identity, ()))
        state = states[identity]
        states[identity] = state._replace(
            claims=claims,
            effects=(*state.effects, *effects),
            public=tuple(public.get(identity, ())),
            reported=identity in sightings or identity in weights,
            sightings=tuple(sightings.get(identity, ())),
        )
    return states


def _read_observables(cursor: psycopg.Cursor[Any]) -> tuple[dict[str, ObservableState], bool]:
    """States without assertions, of the tenant's own row if there is one; whether any is public."""
    states: dict[str, ObservableState] = {}
    is_public = False
    for identity, type_, value, score, described, scored_at, due, depth, tlp, own in cursor:
        is_public = is_public or not own
        if own or identity not in states:
            states[identity] = ObservableState(
                type_,
                value,
                score,
                {},
                (),
                context.effects(described),
                scored_at,
                due,
                (),
                own,
                depth,
                tlp=tlp,
            )
    return states, is_public


def _add_assertions(
    cursor: psycopg.Cursor[Any], states: dict[str, ObservableState], tenant: str
) -> dict[str, list[StoredAssertion]]:
    """Add the tenant's own assertions to states; return the public ones by id.

    States with the same assertion share it.
    """
    public: dict[str, list[StoredAssertion]] = {}
    for ids, *columns in sorted(cursor.fetchall(), key=_source_name_and_id):
        assertion = StoredAssertion._make(columns)
        assertion = assertion._replace(
            tags=tuple(assertion.tags),
            attack=tuple(assertion.attack),
            derived_from=tuple(assertion.derived_from),
        )
        source_id = assertion.source_id
        is_own = assertion.tenant == tenant
        for identity in _ids_in(ids):
            if is_own:
                states[identity].assertions[source_id] = assertion
            else:
                public.setdefault(identity, []).append(assertion)
    return public


def _ids_in(array: str) -> list[str]:
    """The ids of an array as PostgreSQL writes it."""
    return array[1:-1].split(",")


def _weight(columns: Row) -> EnrichmentWeight:
    enricher, weights, obtained_at, counts_until = columns
    origin = origin_of(enricher)
    return EnrichmentWeight(enricher, _decode_weights(weights), obtained_at, counts_until, origin)


def _grouped(rows: Iterable[Row], make: Callable[[Row], _T]) -> dict[str, list[_T]]:
    """Rows by the id that they begin with."""
    grouped: dict[str, list[_T]] = {}
    for row in rows:
        identity = row[0]
        if identity in grouped:
            grouped[identity].append(make(row[1:]))
        else:
            grouped[identity] = [make(row[1:])]
    return grouped


# Rows: what lookups answer with, now or as recorded at a moment.

_COLUMNS: Final = f"observable_id, {_DATA}"
_VISIBLE: Final = f"tenant IN (%(tenant)s, '{PUBLIC}') AND {{id}} = ANY(%(ids)s)"
_OF_OBSERVABLES: Final = (
    f"tenant IN (%(tenant)s, '{PUBLIC}') "  # noqa: S608
    "AND observable_id = ANY(ARRAY(SELECT id FROM observables))"
)
_ASSERTIONS_NOW: Final = f"SELECT {_COLUMNS} FROM assertion WHERE {_OF_OBSERVABLES}"  # noqa: S608
_ASSERTIONS_THEN: Final = (
    f"{_ASSERTIONS_NOW} AND recorded_at <= %(as_of)s "  # noqa: S608
    f"UNION ALL SELECT {_COLUMNS} FROM assertion_past WHERE {_OF_OBSERVABLES} "
    "AND recorded_at <= %(as_of)s AND recorded_until > %(as_of)s"
)
_SOURCE_COLUMNS: Final = (
    "tenant, id, name, reliability, tlp, kind, confirmed_at, origin, derived_from, measurements"
)
_SOURCES_THEN: Final = (
    f"(SELECT {_SOURCE_COLUMNS} FROM source WHERE recorded_at <= %(as_of)s "  # noqa: S608
    f"UNION ALL SELECT {_SOURCE_COLUMNS} FROM source_past "
    "WHERE recorded_at <= %(as_of)s AND recorded_until > %(as_of)s)"
)


def _observables_with_assertions(assertions: str, sources: str) -> str:
    """Observables, then their assertions, in one statement that finds the observables once.

    A row without a confidence is an `ObservableRow`, with NULL behind. A row with one is the ids,
    then a `StoredAssertion`; the columns of both kinds have the same types, as UNION wants it.
    """
    return (
        "WITH observables AS MATERIALIZED ("  # noqa: S608
        "SELECT id, tenant, type, value, context::text AS context, first_seen, depth "
        f"FROM observable WHERE {_VISIBLE.format(id='id')}), "
        f"alike AS (SELECT array_agg(observable_id)::text AS ids, {_DATA} "
        f"FROM ({assertions}) each_one GROUP BY {_DATA}) "
        "SELECT id::text, tenant, type, value, context, first_seen, depth, NULL::smallint, "
        "NULL::text[], NULL::text[], NULL::text, NULL::timestamptz, NULL::timestamptz, "
        "NULL::timestamptz, NULL::text, NULL::timestamptz, NULL::timestamptz, NULL::text, "
        "NULL::text[], NULL::text FROM observables "
        f"UNION ALL SELECT a.ids, {_ASSERTION_COLUMNS} FROM alike a "
        f"JOIN {sources} s ON s.tenant = a.tenant AND s.id = a.source_id"
    )


_CONFIDENCE: Final = 7
"""The column of a row that tells assertions from observables."""
_NOW: Final = _observables_with_assertions(_ASSERTIONS_NOW, "source")
_THEN: Final = _observables_with_assertions(_ASSERTIONS_THEN, _SOURCES_THEN)
_CONTEXTS_THEN: Final = (
    "SELECT DISTINCT ON (tenant, observable_id) "  # noqa: S608
    "tenant, observable_id::text, context::text "
    f"FROM context_past WHERE {_VISIBLE.format(id='observable_id')} AND recorded_until > %(as_of)s "
    "ORDER BY tenant, observable_id, recorded_until"
)
_SIGHTINGS: Final = (
    f"SELECT {_SIGHTING_COLUMNS} FROM sighting "  # noqa: S608
    f"WHERE {_VISIBLE.format(id='observable_id')}"
)
_SIGHTINGS_NOW: Final = f"{_SIGHTINGS} AND withdrawn_at IS NULL"
_SIGHTINGS_THEN: Final = (
    f"{_SIGHTINGS} AND recorded_at <= %(as_of)s "
    "AND (withdrawn_at IS NULL OR withdrawn_at > %(as_of)s)"
)
_STORED_ANSWER: Final = (
    "observable_id, enricher, tenant, found, facts, weights, obtained_at, expires_at, counts_until"
)
_STORED_ANSWERS: Final = (
    f"SELECT {_STORED_ANSWER} FROM enrichment "  # noqa: S608
    f"WHERE {_VISIBLE.format(id='observable_id')}"
)
_STORED_ANSWERS_THEN: Final = (
    f"{_STORED_ANSWERS} AND recorded_at <= %(as_of)s "  # noqa: S608
    f"UNION ALL SELECT {_STORED_ANSWER} FROM enrichment_past "
    f"WHERE {_VISIBLE.format(id='observable_id')} "
    "AND recorded_at <= %(as_of)s AND recorded_until > %(as_of)s"
)
_ANSWER_COLUMNS: Final = (
    "enricher, tenant, found, facts::text, weights::text, obtained_at, expires_at, counts_until"
)
_ANSWERS_NOW: Final = newest_answers(_ANSWER_COLUMNS, f"({_STORED_ANSWERS}) e")
_ANSWERS_THEN: Final = newest_answers(_ANSWER_COLUMNS, f"({_STORED_ANSWERS_THEN}) e")


_MODEL_THEN: Final = "SELECT max(version) FROM scoring_model WHERE since <= %(as_of)s"
FIRST_MODEL: Final = 1
CURRENT_MODEL: Final = 2


class ObservableRow(NamedTuple):
    """An observable as one tenant stores it, in the order of its columns.

    Attributes:
        context: the facts of offline enrichers, as JSON.
        depth: how many answers of enrichers it is away from what a source or a person reported.
    """

    id: str
    tenant: str
    type: str
    value: str
    context: str
    first_seen: datetime
    depth: int


class AnswerRow(NamedTuple):
    """The newest answer of a remote enricher.

    Attributes:
        weight: the part that the score depends on.
        is_found: whether the provider knows the value.
        facts: as JSON.
        expires_at: until then the provider is not queried again.
    """

    weight: EnrichmentWeight
    tenant: str
    is_found: bool
    facts: str
    expires_at: datetime


class StoredRows(NamedTuple):
    """Everything that is stored about some observables and visible to a tenant.

    Attributes:
        observables: the tenant's own row comes before the public one of the same id.
        assertions: by id, in the order of their sources' names. Observables with the same
            assertions share the sequence.
        sightings: by id.
        answers: of remote enrichers, by id.
        model: the version of the model of scores that held at the moment.
    """

    observables: Sequence[ObservableRow]
    assertions: dict[str, Sequence[StoredAssertion]]
    sightings: dict[str, list[SightingRow]]
    answers: dict[str, list[AnswerRow]]
    model: int = CURRENT_MODEL


class PendingRows(NamedTuple):
    """Statements that PostgreSQL works on."""

    observables: psycopg.Cursor
    sightings: psycopg.Cursor
    answers: psycopg.Cursor
    contexts: psycopg.Cursor | None
    model: psycopg.Cursor | None


def send_rows(
    connection: psycopg.Connection, tenant: str, ids: Collection[str], as_of: datetime | None = None
) -> PendingRows | None:
    """Send the statements that read observables, now or as recorded at a moment.

    Returns:
        The statements; None when no id is given.
    """
    if not ids:
        return None
    arguments = {"tenant": tenant, "ids": UuidArray(ids), "as_of": as_of}
    statements = (_NOW, _SIGHTINGS_NOW, _ANSWERS_NOW)
    if as_of is not None:
        statements = (_THEN, _SIGHTINGS_THEN, _ANSWERS_THEN)
    observables, sightings, answers = (
        connection.cursor(binary=True).execute(statement, arguments) for statement in statements
    )
    if as_of is None:
        return PendingRows(observables, sightings, answers, None, None)
    contexts = connection.execute(_CONTEXTS_THEN, arguments)
    model = connection.execute(_MODEL_THEN, arguments)
    return PendingRows(observables, sightings, answers, contexts, model)


def fetch_rows(pending: PendingRows | None) -> StoredRows:
    """The rows of statements that were sent."""
    if pending is None:
        return StoredRows([], {}, {}, {})
    rows = pending.observables.fetchall()
    observables = [
        ObservableRow._make(row[:_CONFIDENCE]) for row in rows if row[_CONFIDENCE] is None
    ]
    if pending.contexts is not None:
        then = {(owner, identity): text for owner, identity, text in pending.contexts.fetchall()}
        observables = [
            row._replace(context=then.get((row.tenant, row.id), row.context)) for row in observables
        ]
    own = [row for row in observables if row.tenant != PUBLIC]
    if own:
        observables = [*own, *(row for row in observables if row.tenant == PUBLIC)]
    return StoredRows(
        observables,
        _shared_assertions([row for row in rows if row[_CONFIDENCE] is not None]),
        _grouped(pending.sightings.fetchall(), SightingRow._make),
        _grouped(pending.answers.fetchall(), _answer),
        CURRENT_MODEL if pending.model is None else pending.model.fetchall()[0][0] or FIRST_MODEL,
    )


def read_rows(
    connection: psycopg.Connection, tenant: str, ids: Collection[str], as_of: datetime | None = None
) -> StoredRows:
    """What is stored about observables, now or as recorded at a moment."""
    return fetch_rows(send_rows(connection, tenant, ids, as_of))


def _answer(columns: Row) -> AnswerRow:
    enricher, tenant, is_found, facts, weights, obtained_at, expires_at, counts_until = columns
    weight = _weight((enricher, weights, obtained_at, counts_until))
    return AnswerRow(weight, tenant, is_found, facts, expires_at)


def _shared_assertions(rows: list[Row]) -> dict[str, Sequence[StoredAssertion]]:
    """Assertions by observable; observables with the same assertions share the sequence."""
    by_id: dict[str, Sequence[StoredAssertion]] = {}
    rows.sort(key=_source_name_and_id)
    for row in rows:
        assertion = StoredAssertion._make(row[1:])
        alone = (assertion,)
        extended: dict[int, Sequence[StoredAssertion]] = {}
        for identity in _ids_in(row[0]):
            before = by_id.get(identity)
            if before is None:
                by_id[identity] = alone
                continue
            # By identity: a sequence that several observables share is extended once for all.
            together = extended.get(id(before))
            if together is None:
                together = extended[id(before)] = (*before, assertion)
            by_id[identity] = together
    return by_id

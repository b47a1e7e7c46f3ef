"""What is known about values: the answers of the observables service."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from services.observables import repository, scoring
from services.observables.reading import dashed
from services.observables.scoring import Claim
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.stix import NotAnObservable, detect
from shared.stix.ids import observable_uuid, stix_type


def lookup(database: Database, tenant: str, values: Sequence[str]) -> list[dict[str, Any]]:
    """What is known about values, in their order; defanged forms are understood.

    Returns:
        For each value `value` as asked and either `observable` (None when unknown) or `problem` (why it is no
        observable).
    """
    asked: list[tuple[str, str | None, str | None]] = []
    for value in values:
        try:
            found = detect(value)
        except NotAnObservable as error:
            asked.append((value, None, str(error)))
        else:
            asked.append((value, dashed(observable_uuid(found.type, found.value)), None))
    with database.transaction(tenant) as session:
        known = views(repository.assertions(session, tenant, [identity for _, identity, _ in asked if identity]))
    return [
        {"value": value, "problem": problem}
        if identity is None
        else {"value": value, "observable": known.get(identity)}
        for value, identity, problem in asked
    ]


def observable(database: Database, tenant: str, identity: str) -> dict[str, Any]:
    """One observable by its STIX id.

    Raises:
        InvalidInput: the id is none.
        NotFound: the tenant sees no such observable.
    """
    uuid = _uuid_of(identity)
    with database.transaction(tenant) as session:
        found = views(repository.assertions(session, tenant, [uuid])).get(uuid)
    if found is None or found["id"] != identity:
        raise NotFound(f"There is no observable {identity} in this tenant.")
    return found


def _uuid_of(identity: str) -> str:
    try:
        return str(UUID(identity.partition("--")[2]))
    except ValueError:
        raise InvalidInput(f"{identity!r} is no STIX id of an observable.", field="id") from None


def explain(database: Database, tenant: str, identity: str) -> dict[str, Any]:
    """The score with each source's part in it; the parts add up to the score."""
    found = observable(database, tenant, identity)
    active = [one for one in found["assertions"] if one["retracted_at"] is None]
    parts = scoring.contributions(Claim(one["source"], one["reliability"], one["confidence"]) for one in active)
    listed = [
        {
            "source": part.claim.source,
            "reliability": part.claim.reliability,
            "confidence": part.claim.confidence,
            "points": round(part.points, 4),
        }
        for part in parts
    ]
    return {"id": identity, "value": found["value"], "score": scoring.rounded(parts), "contributions": listed}


def views(rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Assertions as readers see them, by observable: the tenant's own word and the public one together."""
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.id].append(row)
    return {identity: _view(identity, together) for identity, together in grouped.items()}


def _view(identity: str, rows: list[Any]) -> dict[str, Any]:
    active = [row for row in rows if row.retracted_at is None]
    return {
        "id": f"{stix_type(rows[0].type)}--{identity}",
        "type": rows[0].type,
        "value": rows[0].value,
        "score": scoring.score(Claim(row.source, row.reliability, row.confidence) for row in active),
        "tags": sorted({tag for row in active for tag in row.tags}),
        "first_seen": min(row.asserted_first for row in rows),
        "last_seen": max(row.last_seen for row in rows),
        "assertions": [_assertion(row) for row in rows],
    }


def _assertion(row: Any) -> dict[str, Any]:
    return {
        "source": row.source,
        "source_id": row.source_id,
        "tenant": row.tenant,
        "tlp": row.tlp,
        "reliability": row.reliability,
        "confidence": row.confidence,
        "tags": row.tags,
        "malware": row.malware,
        "first_seen": row.asserted_first,
        "last_seen": row.last_seen,
        "valid_until": row.valid_until,
        "retracted_at": row.retracted_at,
    }


class Filter(NamedTuple):
    """Which observables a list or a count is about; None does not filter."""

    source: UUID | None = None
    type: str | None = None
    min_score: int | None = None


def page(database: Database, tenant: str, wanted: Filter, after: UUID | None, limit: int) -> dict[str, Any]:
    """One page of observables in the order of their ids, with the cursor of the next."""
    with database.transaction(tenant) as session:
        ids = repository.page(session, **_columns(wanted), after=after, limit=limit)
        known = views(repository.assertions(session, tenant, ids))
    return {"items": [known[identity] for identity in ids], "next": ids[-1] if len(ids) == limit else None}


def count(database: Database, tenant: str, wanted: Filter) -> int:
    """How many observables the tenant sees."""
    with database.transaction(tenant) as session:
        return repository.count(session, **_columns(wanted))


def _columns(wanted: Filter) -> dict[str, Any]:
    return {"source": wanted.source, "type_": wanted.type, "min_score": wanted.min_score}


def sources(database: Database, tenant: str) -> list[dict[str, Any]]:
    """The sources the tenant can see, each with how many observables it asserts now."""
    with database.transaction(tenant) as session:
        return [dict(row._mapping) for row in repository.sources(session)]  # noqa: SLF001  # SQLAlchemy's public name


def run(database: Database, tenant: str, run_id: UUID) -> dict[str, Any]:
    """How far a feed run came here: chunks and indicators received, observables new, changed, rejected."""
    with database.transaction(tenant) as session:
        return dict(repository.run_progress(session, run_id)._mapping)  # noqa: SLF001  # SQLAlchemy's public name

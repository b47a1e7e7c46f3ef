"""What the observables service does with a transaction: ingest chunks, answer questions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import ingest, repository, scoring
from services.observables.ingest import Said, Source
from services.observables.scoring import Claim
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, NotFound
from shared.events import Event
from shared.events.chunks import chunked
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.kafka.outbox import bury, publish
from shared.kafka.topics import BUCKETS, bucket_key
from shared.stix import NotAnObservable, detect
from shared.stix.ids import observable_uuid, stix_type
from shared.stix.vocabulary import MAX_LENGTH

Observed = Event[IndicatorsObserved]

SOURCE: Final = "/services/observables"


def handle_observed(session: Session, events: Sequence[Observed]) -> None:
    """Apply chunks of one tenant; chunks of one feed that stand together are applied together."""
    for group in _by_feed(events):
        _apply(session, group)


def _by_feed(events: Sequence[Observed]) -> Iterator[list[Observed]]:
    """Runs of events with one feed and one observation time."""
    group: list[Observed] = []
    for event in events:
        if group and _voice(group[0].data) != _voice(event.data):
            yield group
            group = []
        group.append(event)
    yield group


def _voice(data: IndicatorsObserved) -> tuple[object, ...]:
    return data.feed, data.observed_at, data.run_id


def _apply(session: Session, events: list[Observed]) -> None:
    tenant, first = events[0].tenant, events[0].data
    source = Source(str(first.feed.id), first.feed.name, first.feed.reliability, _moment(first.observed_at))
    repository.put_source(session, tenant, first.feed)
    batch = _Batch({}, {}, {})
    rejected = [_read(session, event, number, batch) for number, event in enumerate(events)]
    stored = repository.known(session, tenant, list(batch.origin))
    plan = ingest.plan(source, batch.said.values(), batch.gone, stored)
    repository.write(session, tenant, source.id, source.observed_at, plan)
    counts = Counter((batch.origin[_uuid(change)], change.kind == "new") for change in plan.changes)
    for number, event in enumerate(events):
        new, changed = counts[number, True], counts[number, False]
        repository.record_chunk(session, _progress(event, rejected[number], new, changed))
    publish(session, _announcements(tenant, first, plan.changes))


class _Batch(NamedTuple):
    """What the chunks of a batch say, by observable id; a later chunk's word replaces an earlier one's.

    Attributes:
        origin: the chunk an id came in last.
    """

    said: dict[str, Said]
    gone: dict[str, None]
    origin: dict[str, int]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time as RFC 3339 writes it.", field="observed_at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(session: Session, event: Observed, number: int, batch: _Batch) -> int:
    """Collect a chunk's indicators; those that are none go to the dead letters, the rest goes on."""
    data, problems = event.data, []
    for position, indicator in enumerate(data.seen):
        try:
            one = _said(indicator, data)
        except InvalidInput as error:
            problems.append(f"seen[{position}]: {error.message}")
        else:
            batch.said[one.id] = one
            batch.origin[one.id] = number
    for position, indicator in enumerate(data.gone):
        try:
            identity = _identity(indicator)
        except InvalidInput as error:
            problems.append(f"gone[{position}]: {error.message}")
        else:
            batch.gone[identity] = None
            batch.origin[identity] = number
    if problems and event.record is not None:
        reason = f"{len(problems)} indicators cannot be stored; the rest of the chunk was. " + "; ".join(problems)
        bury(session, event.record, reason, tenant=event.tenant, topic=event.topic.name)
    return len(problems)


def _said(indicator: Indicator, data: IndicatorsObserved) -> Said:
    confidence = data.confidence if indicator.confidence is None else indicator.confidence
    if not 0 <= confidence <= 100:
        raise InvalidInput(f"a confidence of {confidence} is not between 0 and 100")
    for moment in (indicator.first_seen, indicator.valid_until):
        if moment is not None:
            _moment(moment)
    tags = data.tags if not indicator.tags else tuple(sorted({*data.tags, *indicator.tags}))
    return Said(
        _identity(indicator),
        indicator.type,
        indicator.value,
        confidence,
        tags,
        indicator.malware,
        indicator.first_seen or data.observed_at,
        indicator.valid_until,
    )


def _identity(indicator: Indicator) -> str:
    value = indicator.value
    if not value or len(value) > MAX_LENGTH or "\0" in value:
        raise InvalidInput("the value is empty, longer than 8,192 characters, or has a NUL")
    try:
        return dashed(observable_uuid(indicator.type, value))
    except KeyError:
        raise InvalidInput(f"{indicator.type!r} is no type of observable") from None


def dashed(uuid: bytes) -> str:
    """The 16 bytes of a UUID as it is written; a `uuid.UUID` costs four times as much."""
    text = uuid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bucket_of(uuid: str) -> int:
    """The bucket of an observable, from its id as it is written; equal to `shared.stix.bucket` of its bytes."""
    return int(uuid[:8], 16) % BUCKETS


def _progress(event: Observed, rejected: int, new: int, changed: int) -> dict[str, Any]:
    data = event.data
    return {
        "tenant": event.tenant,
        "run_id": data.run_id,
        "bucket": data.bucket,
        "chunk": data.chunk,
        "received": len(data.seen) + len(data.gone),
        "new": new,
        "changed": changed,
        "rejected": rejected,
    }


def _announcements(
    tenant: str, data: IndicatorsObserved, changes: Iterable[Change]
) -> Iterator[Event[ObservablesChanged]]:
    grouped: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        grouped[bucket_of(_uuid(change))].append(change)
    for bucket, together in grouped.items():
        for chunk in chunked(together, size=lambda change: 200 + len(change.value) + 16 * len(change.tags)):
            said = ObservablesChanged(data.feed.id, data.feed.name, chunk, data.run_id)
            yield Event(CHANGED, said, tenant, SOURCE, bucket_key(bucket))


def _uuid(change: Change) -> str:
    return change.id[-36:]


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


def prune_runs(database: Database, days: int) -> int:
    """Forget the progress of old runs; how many chunks were forgotten."""
    with database.transaction(PLATFORM) as session:
        return repository.prune_runs(session, days)

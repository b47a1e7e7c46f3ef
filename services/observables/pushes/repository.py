"""The SQL of pushes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.pushes.models import PUSH, PushBatch, PushRow
from services.observables.pushes.targets.base import PushedObject
from shared.errors import NotFound
from shared.frozen_tenants import is_frozen
from shared.leases import LeasedTable
from shared.sealed_rows import SealedColumn

LEASES: Final = LeasedTable(PUSH, lease=timedelta(seconds=60), waiting="waiting")
MAX_OBJECTS: Final = 500
MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a batch; a single object may have more."""

_NOW: Final = sa.func.now()
_ROW: Final = tuple(PUSH.c[name] for name in PushRow._fields)
_COLLECTION: Final = sa.table(
    "collection", sa.column("id"), sa.column("last_number"), sa.column("tlp")
)
_END: Final = sa.text("SELECT last_added, last_number FROM collection WHERE id = :collection")
_BATCH: Final = sa.text(
    "WITH next AS (SELECT date_added, number, object_id, payload, "
    "sum(octet_length(payload)) OVER (ORDER BY date_added, number) AS bytes, "
    "row_number() OVER (ORDER BY date_added, number) AS place FROM ("
    "SELECT date_added, number, object_id, payload FROM collection_object "
    "WHERE collection_id = :collection AND is_last AND NOT (is_revoked AND number <= :begun) "
    "AND (CAST(:added AS timestamptz) IS NULL OR (date_added, number) > (:added, :number)) "
    "ORDER BY date_added, number LIMIT :most) AS candidate) "
    "SELECT date_added, number, object_id, payload FROM next "
    "WHERE bytes <= :bytes OR place = 1 ORDER BY number"
)


def add_push(session: Session, tenant: str, values: Mapping[str, Any]) -> PushRow | None:
    """Store a push; None if the tenant has one of that name."""
    statement = (
        insert(PUSH)
        .values(tenant=tenant, **values)
        .on_conflict_do_nothing(index_elements=["tenant", "name"])
        .returning(*_ROW)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else PushRow(*row)


def list_pushes(session: Session, tenant: str) -> list[PushRow]:
    """The pushes of a tenant, the oldest first."""
    query = sa.select(*_ROW).where(PUSH.c.tenant == tenant)
    rows = session.execute(query.order_by(PUSH.c.created_at, PUSH.c.id))
    return [PushRow(*row) for row in rows]


def get_push(session: Session, tenant: str, identity: UUID, *, is_locked: bool = False) -> PushRow:
    """A push of a tenant.

    Raises:
        NotFound: the tenant has no such.
    """
    query = sa.select(*_ROW).where(PUSH.c.tenant == tenant, PUSH.c.id == identity)
    row = session.execute(query.with_for_update() if is_locked else query).one_or_none()
    if row is None:
        raise NotFound("There is no such push.")
    return PushRow(*row)


def has_name(session: Session, tenant: str, name: str, other_than: UUID) -> bool:
    """Whether another push of the tenant has a name."""
    query = sa.select(sa.literal(1)).where(
        PUSH.c.tenant == tenant, PUSH.c.name == name, PUSH.c.id != other_than
    )
    return session.execute(query).first() is not None


def change_push(
    session: Session, tenant: str, identity: UUID, values: Mapping[str, Any]
) -> PushRow:
    """Change columns of a push, which is locked."""
    statement = (
        sa.update(PUSH)
        .where(PUSH.c.tenant == tenant, PUSH.c.id == identity)
        .values(**values)
        .returning(*_ROW)
    )
    return PushRow(*session.execute(statement).one())


def delete_push(session: Session, tenant: str, identity: UUID) -> None:
    """Delete a push."""
    session.execute(sa.delete(PUSH).where(PUSH.c.tenant == tenant, PUSH.c.id == identity))


def ends_of(session: Session, collections: Iterable[UUID]) -> dict[UUID, int]:
    """The numbers of the newest objects of collections."""
    query = sa.select(_COLLECTION.c.id, _COLLECTION.c.last_number).where(
        _COLLECTION.c.id.in_(list(collections))
    )
    return {row.id: row.last_number for row in session.execute(query)}


def sealed_credentials(places: Callable[[sa.Row[Any]], Iterable[str]]) -> SealedColumn:
    """The column of the credentials.

    Args:
        places: returns what the credentials of a row may be sealed for.
    """
    return SealedColumn(PUSH, "credentials", ("id",), places)


# The worker's side


def _has_work() -> sa.ColumnElement[bool]:
    """Whether a collection has what its push has not read, in a transaction that sees both."""
    news = sa.exists().where(
        _COLLECTION.c.id == PUSH.c.collection_id, _COLLECTION.c.last_number > PUSH.c.pushed_number
    )
    return sa.and_(PUSH.c.enabled, news, ~is_frozen(PUSH.c.tenant))


def due_pushes(session: Session, limit: int) -> list[tuple[str, UUID]]:
    """Tenant and id of pushes that have work and no worker, those that wait the longest first."""
    query = sa.select(PUSH.c.tenant, PUSH.c.id).where(LEASES.claimable, _has_work())
    query = query.order_by(PUSH.c.next_attempt_at).limit(limit)
    return [(row.tenant, row.id) for row in session.execute(query)]


def claim_push(session: Session, identity: UUID) -> PushRow | None:
    """Take a push that has work; None if there is none, or another worker has it."""
    is_it = sa.and_(PUSH.c.id == identity, _has_work())
    rows = LEASES.claim(session, uuid4(), where=is_it)
    return PushRow(*(getattr(rows[0], name) for name in PushRow._fields)) if rows else None


def renew_push(session: Session, row: PushRow) -> bool:
    """Let the lease last from now on; whether it is still the worker's."""
    return bool(LEASES.renew(session, holder_of(row), [row.id]))


def read_batch(session: Session, row: PushRow) -> PushBatch:
    """What is to be sent next.

    A collection numbers its objects in the order of commits. Its end is read first, so that what
    is committed meanwhile stands behind that.
    """
    collection = {"collection": row.collection_id}
    end = session.execute(_END, collection).one()
    values = {
        "begun": row.begun_number,
        "added": row.pushed_added,
        "number": row.pushed_number,
        "most": _most_objects(row),
        "bytes": MAX_BYTES,
    }
    records = session.execute(_BATCH, collection | values).all()
    objects = [PushedObject(each.object_id, bytes(each.payload)) for each in records]
    last = records[-1] if records else None
    if last is not None and last.number < end.last_number:
        return PushBatch(objects, last.date_added, last.number, is_last=False)
    if last is not None and last.number > end.last_number:
        return PushBatch(objects, last.date_added, last.number, is_last=True)
    return PushBatch(objects, end.last_added, end.last_number, is_last=True)


def _most_objects(row: PushRow) -> int:
    """Objects of a batch: half as many with each failure, so that a slow target gets on, too."""
    return max(1, MAX_OBJECTS >> min(max(row.attempts - 1, 0), 16))


def note_progress(
    session: Session, row: PushRow, batch: PushBatch, refused: int, refusal: str
) -> PushRow:
    """Move a push to the end of a batch that its target has.

    Raises:
        LeaseLost: another worker has the push, or it begins anew; do not commit.
    """
    values: dict[str, Any] = {
        "pushed_added": batch.added,
        "pushed_number": batch.number,
        "pushed_count": PUSH.c.pushed_count + len(batch.objects) - refused,
        "refused_count": PUSH.c.refused_count + refused,
        "attempts": 0,
        "error": sa.null(),
    }
    if refused:
        values["refusal"] = refusal
    if batch.objects:
        values["pushed_at"] = _NOW
    LEASES.change(session, holder_of(row), row.id, values)
    return row._replace(pushed_added=batch.added, pushed_number=batch.number)


def release_push(session: Session, row: PushRow) -> None:
    """Give a push back.

    Raises:
        LeaseLost: another worker has it.
    """
    LEASES.release(session, holder_of(row), row.id, {"attempts": 0})


def retry_push(session: Session, row: PushRow, *, seconds: float, error: Mapping[str, Any]) -> None:
    """Let a push wait for its next attempt.

    Raises:
        LeaseLost: another worker has it.
    """
    LEASES.retry(session, holder_of(row), row.id, seconds=seconds, error=error)


def holder_of(row: PushRow) -> UUID:
    """Who has a push.

    Raises:
        ValueError: nobody.
    """
    if row.holder is None:
        raise ValueError(f"The push {row.id} is not claimed.")
    return row.holder

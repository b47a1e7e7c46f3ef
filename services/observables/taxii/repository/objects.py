"""SQL that adds objects to a collection, and takes them out.

The row of a collection is the lock of its writers: one at a time numbers objects, and the next one
waits until it has committed. Whoever reads in the order of numbers misses nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.taxii.models import NewObject
from services.observables.taxii.moments import assign_moments

_LOCK: Final = sa.text(
    "SELECT last_number, last_added, last_share, clock_timestamp() FROM collection "
    "WHERE tenant = :tenant AND id = :collection FOR UPDATE"
)
_STORED: Final = sa.text(
    "SELECT object_id, version FROM collection_object JOIN unnest(CAST(:ids AS text[]), "
    "CAST(:versions AS timestamptz[])) AS posted(id, version) USING (version) "
    "WHERE collection_id = :collection AND object_id = posted.id"
)
_ENDS: Final = sa.text(
    "SELECT object_id, min(version), max(version) FROM collection_object "
    "WHERE collection_id = :collection AND object_id = ANY(:ids) AND (is_first OR is_last) "
    "GROUP BY object_id"
)
_DEMOTE: Final = (
    "UPDATE collection_object SET {flag} = false FROM unnest(CAST(:ids AS text[]), "
    "CAST(:versions AS timestamptz[])) AS former(id, moment) WHERE collection_id = :collection "
    "AND object_id = former.id AND version = former.moment"
)
_DEMOTE_LAST: Final = sa.text(_DEMOTE.format(flag="is_last"))
_DEMOTE_FIRST: Final = sa.text(_DEMOTE.format(flag="is_first"))
_INSERT: Final = sa.text(
    "INSERT INTO collection_object (tenant, collection_id, object_id, version, number, "
    "date_added, type, spec_version, is_first, is_last, is_revoked, payload) "
    "SELECT :tenant, :collection, new.* FROM unnest(CAST(:ids AS text[]), "
    "CAST(:versions AS timestamptz[]), CAST(:numbers AS bigint[]), "
    "CAST(:dates AS timestamptz[]), CAST(:types AS text[]), CAST(:specs AS text[]), "
    "CAST(:firsts AS boolean[]), CAST(:lasts AS boolean[]), CAST(:revoked AS boolean[]), "
    "CAST(:payloads AS bytea[])) AS new"
)
_MOVE: Final = sa.text(
    "UPDATE collection SET last_number = :number, last_added = :added, last_share = :share, "
    "object_count = object_count + :count WHERE tenant = :tenant AND id = :collection"
)
_DELETE: Final = (
    "DELETE FROM collection_object WHERE tenant = :tenant AND collection_id = :collection "
    "AND object_id = :object {condition} RETURNING 1"
)
_MARK_ENDS: Final = sa.text(
    "UPDATE collection_object o SET is_first = (o.version = e.first), "
    "is_last = (o.version = e.last) FROM (SELECT min(version) AS first, max(version) AS last "
    "FROM collection_object WHERE collection_id = :collection AND object_id = :object) e "
    "WHERE o.collection_id = :collection AND o.object_id = :object"
)
_COUNT_DOWN: Final = sa.text(
    "UPDATE collection SET object_count = object_count - :count "
    "WHERE tenant = :tenant AND id = :collection"
)

_LAST: Final = sa.text(
    "SELECT payload FROM collection_object "
    "WHERE collection_id = :collection AND object_id = :object AND is_last"
)

VersionKey = tuple[str, datetime]
"""Id and version of an object."""


class AddedObjects(NamedTuple):
    """What a collection did not have yet.

    Attributes:
        size: how many objects are new, each version counts.
        newest: those of them that are the newest version of their id now.
    """

    size: int
    newest: list[NewObject]


class _DatedObject(NamedTuple):
    content: NewObject
    version: datetime
    number: int
    added: datetime


def append_objects(
    session: Session, tenant: str, collection: UUID, objects: Sequence[NewObject]
) -> int:
    """Add objects behind those that are there; return how many are new: see `add_objects`."""
    return add_objects(session, tenant, collection, objects).size


def add_objects(
    session: Session, tenant: str, collection: UUID, objects: Sequence[NewObject]
) -> AddedObjects:
    """Add objects behind those that are there.

    What is stored already, by its id and version, and what comes twice, is not added again.

    Args:
        session: the transaction; it holds the collection's lock until it ends.
        tenant: whose collection it is.
        collection: its id.
        objects: in their order.
    """
    lock = session.execute(_LOCK, {"tenant": tenant, "collection": collection}).one()
    number, last, share, now = lock
    fresh = _fresh_objects(session, collection, objects)
    if not fresh:
        return AddedObjects(0, [])
    moments = list(assign_moments(now, last, share, len(fresh)))
    dated = [
        _DatedObject(content, content.version or moment, number + place, moment)
        for place, (content, (moment, _)) in enumerate(zip(fresh, moments, strict=True), 1)
    ]
    firsts, lasts = _mark_ends(session, collection, dated)
    inserted = {"tenant": tenant, "collection": collection, **_columns(dated, firsts, lasts)}
    session.execute(_INSERT, inserted)
    moved = {
        "tenant": tenant,
        "collection": collection,
        "number": number + len(dated),
        "added": moments[-1][0],
        "share": moments[-1][1],
        "count": len(dated),
    }
    session.execute(_MOVE, moved)
    newest = [item.content for item in dated if (item.content.object_id, item.version) in lasts]
    return AddedObjects(len(dated), newest)


def read_last(session: Session, collection: UUID, object_id: str) -> bytes | None:
    """The newest version of an object, as JSON; None if the collection has none."""
    values = {"collection": collection, "object": object_id}
    return session.scalars(_LAST, values).one_or_none()


def delete_versions(
    session: Session,
    tenant: str,
    collection: UUID,
    object_id: str,
    *,
    versions: Sequence[datetime] | None,
    ends: Collection[str] = (),
    spec_versions: Sequence[str] = (),
) -> int:
    """Delete versions of an object from a collection, which is locked; return how many.

    Args:
        session: the transaction.
        tenant: whose collection it is.
        collection: its id.
        object_id: the object's.
        versions: those with these dates; None deletes all.
        ends: `first` and `last` name further ones.
        spec_versions: only what is written in these versions of STIX, if there are any.
    """
    values: dict[str, Any] = {"tenant": tenant, "collection": collection, "object": object_id}
    condition = ""
    if versions is not None:
        choice = ["version = ANY(:versions)", *(f"is_{end}" for end in sorted(ends))]
        condition = f"AND ({' OR '.join(choice)})"
        values["versions"] = list(versions)
    if spec_versions:
        condition += " AND spec_version = ANY(:specs)"
        values["specs"] = list(spec_versions)
    statement = sa.text(_DELETE.format(condition=condition))
    count = len(session.execute(statement, values).all())
    if count:
        session.execute(_MARK_ENDS, {"collection": collection, "object": object_id})
        counted = {"tenant": tenant, "collection": collection, "count": count}
        session.execute(_COUNT_DOWN, counted)
    return count


def _fresh_objects(
    session: Session, collection: UUID, objects: Sequence[NewObject]
) -> list[NewObject]:
    """The objects that are not stored, each version once; of what has no version, one."""
    ids = [content.object_id for content in objects]
    versions = [content.version for content in objects]
    values: dict[str, Any] = {"collection": collection, "ids": ids, "versions": versions}
    seen: set[tuple[str, datetime | None]] = {
        (row.object_id, row.version) for row in session.execute(_STORED, values)
    }
    timeless = [content.object_id for content in objects if content.version is None]
    if timeless:
        ends = session.execute(_ENDS, {"collection": collection, "ids": timeless})
        seen |= {(row.object_id, None) for row in ends}
    fresh = []
    for content in objects:
        key = (content.object_id, content.version)
        if key not in seen:
            seen.add(key)
            fresh.append(content)
    return fresh


def _mark_ends(
    session: Session, collection: UUID, dated: Sequence[_DatedObject]
) -> tuple[set[VersionKey], set[VersionKey]]:
    """The first and last versions among new ones; stored ones are no longer what they were."""
    ids = list({item.content.object_id for item in dated})
    rows = session.execute(_ENDS, {"collection": collection, "ids": ids}).all()
    stored_first = {row[0]: row[1] for row in rows}
    stored_last = {row[0]: row[2] for row in rows}
    first = dict(stored_first)
    last = dict(stored_last)
    for item in dated:
        object_id = item.content.object_id
        first[object_id] = min(first.get(object_id, item.version), item.version)
        last[object_id] = max(last.get(object_id, item.version), item.version)
    for statement, before, after in (
        (_DEMOTE_FIRST, stored_first, first),
        (_DEMOTE_LAST, stored_last, last),
    ):
        moved = [name for name, version in before.items() if after[name] != version]
        if moved:
            versions = [before[name] for name in moved]
            values = {"collection": collection, "ids": moved, "versions": versions}
            session.execute(statement, values)
    return set(first.items()), set(last.items())


def _columns(
    dated: Sequence[_DatedObject], firsts: set[VersionKey], lasts: set[VersionKey]
) -> dict[str, list[Any]]:
    """New rows, column by column."""
    keys = [(item.content.object_id, item.version) for item in dated]
    contents = [item.content for item in dated]
    return {
        "ids": [key[0] for key in keys],
        "versions": [key[1] for key in keys],
        "numbers": [item.number for item in dated],
        "dates": [item.added for item in dated],
        "types": [content.type for content in contents],
        "specs": [content.spec_version for content in contents],
        "firsts": [key in firsts for key in keys],
        "lasts": [key in lasts for key in keys],
        "revoked": [content.is_revoked for content in contents],
        "payloads": [content.payload for content in contents],
    }

"""SQL of pages: a page comes as one value, which the database has put together.

The place in a collection is an index, so that the last page costs what the first costs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from services.observables.taxii.models import CollectionRow, ManifestRow
from services.observables.taxii.moments import MAX_SHARE
from services.observables.taxii.page_request import PageRequest

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Bytes at which a page ends, but not before its first moment does."""

_COLLECTION: Final = (
    f"SELECT {', '.join(CollectionRow._fields)} FROM collection "  # noqa: S608  # columns
    "WHERE tenant = %(tenant)s AND id = %(collection)s"
)
# The first object that the page leaves out tells where it ends: before its moment, so that the
# page ends between two, or, on pages that are smaller than a moment, before itself.
_PAGE: Final = (
    "WITH candidate AS MATERIALIZED (SELECT date_added, number, payload, {size} AS size "
    "FROM collection_object WHERE {condition} ORDER BY date_added, number LIMIT %(most)s), "
    "sized AS (SELECT date_added, number, row_number() OVER w AS place, sum(size) OVER w AS bytes, "
    "first_value(date_added) OVER w AS first FROM candidate "
    "WINDOW w AS (ORDER BY date_added, number)), "
    "excluded AS (SELECT date_added, number FROM sized WHERE place > %(limit)s "
    "OR bytes > %(bytes)s AND date_added > first ORDER BY number LIMIT 1) "
    "SELECT count(*), min(date_added), max(date_added), max(number), "
    "EXISTS (SELECT FROM excluded), string_agg(payload, ',' ORDER BY number) "
    "FROM candidate WHERE {end} "
)
_WHOLE_MOMENTS: Final = (
    "NOT EXISTS (SELECT FROM excluded) OR date_added < (SELECT date_added FROM excluded)"
)
_PARTS_OF_MOMENTS: Final = (
    "NOT EXISTS (SELECT FROM excluded) OR number < (SELECT number FROM excluded)"
)
_MANIFEST: Final = (
    "SELECT object_id, date_added, version, spec_version, number FROM collection_object "
    "WHERE {condition} ORDER BY date_added, number LIMIT %(most)s"
)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a collection.

    Attributes:
        count: how many objects it has.
        first: when its first object was added; None of an empty page.
        last: when its last object was added.
        last_number: the number of that.
        more: whether objects follow.
        objects: all objects as JSON, between commas.
    """

    count: int
    first: datetime | None
    last: datetime | None
    last_number: int
    more: bool
    objects: bytes


def read_objects(
    connection: psycopg.Connection, tenant: str, collection: UUID, request: PageRequest
) -> tuple[CollectionRow | None, ObjectPage]:
    """A collection and a page of its objects; None and an empty page if there is no such.

    Args:
        connection: in a read transaction of `shared.database`.
        tenant: whose collection it is.
        collection: its id.
        request: which objects.
    """
    values = _values(tenant, collection, request)
    is_whole = request.limit >= MAX_SHARE
    # What lists put into collections is small: its bytes need no count.
    statement = _PAGE.format(
        size="octet_length(payload)",
        condition=_condition(request),
        end=_WHOLE_MOMENTS if is_whole else _PARTS_OF_MOMENTS,
    )
    described = connection.execute(_COLLECTION, values, binary=True)
    page = connection.execute(statement.encode(), values, binary=True)
    row = described.fetchone()
    count, first, last, number, more, objects = page.fetchone() or (0, None, None, None, False, b"")
    owner = None if row is None else CollectionRow(*row)
    return owner, ObjectPage(count, first, last, number or 0, more, objects or b"")


def read_manifest(
    connection: psycopg.Connection, tenant: str, collection: UUID, request: PageRequest
) -> tuple[CollectionRow | None, list[ManifestRow], bool]:
    """A collection, a page of its manifest, and whether more follows."""
    values = _values(tenant, collection, request)
    statement = _MANIFEST.format(condition=_condition(request))
    described = connection.execute(_COLLECTION, values, binary=True)
    records = connection.execute(statement.encode(), values, binary=True)
    row = described.fetchone()
    rows = [ManifestRow(*record) for record in records.fetchall()]
    more = len(rows) > request.limit
    if more:
        end = rows[request.limit].date_added
        rows = rows[: request.limit]
        if request.limit >= MAX_SHARE:
            rows = [record for record in rows if record.date_added < end]
    return None if row is None else CollectionRow(*row), rows, more


def _values(tenant: str, collection: UUID, request: PageRequest) -> dict[str, Any]:
    place = request.place
    return {
        "tenant": tenant,
        "collection": collection,
        "limit": request.limit,
        "most": request.limit + 1,
        "bytes": MAX_PAGE_BYTES,
        "after": request.added_after,
        "date": None if place is None else place.date_added,
        "number": None if place is None else place.number,
        "ids": list(request.ids),
        "types": list(request.types),
        "specs": list(request.spec_versions),
        "versions": list(request.versions),
    }


def _condition(request: PageRequest) -> str:
    """The SQL condition of a request; all its parts are constants of this module."""
    parts = ["collection_id = %(collection)s"]
    if request.added_after is not None:
        parts.append("date_added > %(after)s")
    if request.place is not None:
        parts.append("(date_added, number) > (%(date)s, %(number)s)")
    if request.ids:
        parts.append("object_id = ANY(%(ids)s)")
    if request.types:
        parts.append("type = ANY(%(types)s)")
    if request.spec_versions:
        parts.append("spec_version = ANY(%(specs)s)")
    if not request.has_all:
        parts.append(f"({' OR '.join(_versions(request))})")
    return " AND ".join(parts)


def _versions(request: PageRequest) -> list[str]:
    parts = []
    if request.has_last:
        parts.append("is_last")
    if request.has_first:
        parts.append("is_first")
    if request.versions:
        parts.append("version = ANY(%(versions)s)")
    return parts

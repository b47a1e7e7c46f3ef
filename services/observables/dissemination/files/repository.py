"""The SQL of files: the rows of a version, and what was written of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.dissemination.files.models import (
    CONTENT,
    FILE,
    FileRow,
    WrittenFile,
)
from services.observables.dissemination.lists.guards import TLP
from services.observables.dissemination.lists.models import CHANGE, LIST, ListRow
from services.observables.list_formats.base import Row
from shared.database import driver_connection

_FILE: Final = tuple(FILE.c[name] for name in FileRow._fields)
_LIST: Final = tuple(LIST.c[name] for name in ListRow._fields)
_PAGE_ROWS: Final = 50_000

# The members of a version: the present ones, with what came later undone.
_ROWS: Final = """
WITH later AS MATERIALIZED (
    SELECT DISTINCT ON (observable_id) observable_id, type, value, kind, score
    FROM list_change WHERE list_id = %(list)s AND number > %(number)s
    ORDER BY observable_id, number
)
SELECT {columns} FROM (
    SELECT e.type, e.value, e.score, e.number, e.joined_at, e.observable_id FROM list_entry e
    WHERE e.list_id = %(list)s AND e.refused_by IS NULL AND e.number <= %(number)s
        AND NOT EXISTS (SELECT FROM later l WHERE l.observable_id = e.observable_id)
    UNION ALL
    SELECT l.type, l.value, l.score, coalesce(c.number, 0), coalesce(c.changed_at, %(epoch)s),
        l.observable_id
    FROM later l LEFT JOIN LATERAL (
        SELECT number, changed_at FROM list_change c WHERE c.list_id = %(list)s
            AND c.observable_id = l.observable_id AND c.kind = 'in' AND c.number <= %(number)s
        ORDER BY c.number DESC LIMIT 1
    ) c ON true
    WHERE l.kind = 'out'
) member ORDER BY """
# What left within some days and did not come back, but for what may not be named any more.
_DEPARTED: Final = """
SELECT type, value, score, number, changed_at, observable_id FROM (
    SELECT DISTINCT ON (observable_id) observable_id, type, value, kind, score, number, changed_at,
        reason FROM list_change
    WHERE list_id = %(list)s AND number <= %(number)s
        AND changed_at > now() - make_interval(days => %(days)s)
    ORDER BY observable_id, number DESC
) newest
WHERE kind = 'out' AND reason <> %(closed)s AND NOT EXISTS (
    SELECT FROM list_entry e WHERE e.list_id = %(list)s
        AND e.observable_id = newest.observable_id AND e.refused_by = %(closed)s
) ORDER BY number, observable_id
"""
_WHOLE: Final = "type, value, score, number, joined_at, observable_id"
_VALUES_ALONE: Final = "type, value"
_ORDERS: Final = {
    "score": 'score DESC, value COLLATE "C", type',
    "value": 'value COLLATE "C", type',
}
_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 26))")
_STALE: Final = (
    sa.select(FILE.c.list_id, FILE.c.format)
    .join(LIST, LIST.c.id == FILE.c.list_id)
    .where(
        sa.or_(
            FILE.c.number != LIST.c.published_number,
            FILE.c.revision != LIST.c.revision,
        ),
        LIST.c.revision == LIST.c.filled_revision,
    )
    .order_by(FILE.c.list_id, FILE.c.format)
)


def list_row(session: Session, list_id: UUID) -> ListRow | None:
    """A list of any tenant; the transaction is the platform's."""
    row = session.execute(sa.select(*_LIST).where(LIST.c.id == list_id)).one_or_none()
    return ListRow(*row) if row else None


def stale_files(session: Session) -> list[tuple[UUID, str]]:
    """List and format of the files of which the list has a newer version."""
    return [(row[0], row[1]) for row in session.execute(_STALE)]


def changed_at(session: Session, list_id: UUID, number: int) -> datetime | None:
    """When a version came to be; None if that is kept no more."""
    query = sa.select(CHANGE.c.changed_at)
    moment: datetime | None = session.scalar(
        query.where(CHANGE.c.list_id == list_id, CHANGE.c.number == number)
    )
    return moment


def version_pages(
    session: Session, row: ListRow, number: int, *, values_alone: bool = False
) -> Iterator[Sequence[Row]]:
    """The members of a version of a list in its order, in pages.

    Args:
        session: the platform's transaction.
        row: the list.
        number: the version.
        values_alone: whether rows have type and value alone, for formats that read no more.
    """
    values = {"list": row.id, "number": number, "epoch": row.created_at}
    columns = _VALUES_ALONE if values_alone else _WHOLE
    query = (_ROWS.format(columns=columns) + _ORDERS[row.order_by]).encode()
    with driver_connection(session).cursor(name="list_version", binary=True) as cursor:
        cursor.execute(query, values)
        while page := cursor.fetchmany(_PAGE_ROWS):
            yield cast("list[Row]", page)


def departed_pages(
    session: Session, list_id: UUID, number: int, days: int
) -> Iterator[Sequence[Row]]:
    """What left a list before a version and has not come back, oldest first, in pages.

    What left because its marking is stricter than the list's ceiling is not named.

    Args:
        session: the platform's transaction.
        list_id: the list.
        number: the version.
        days: how far back.
    """
    values = {"list": list_id, "number": number, "days": days, "closed": TLP}
    with driver_connection(session).cursor(name="list_departed", binary=True) as cursor:
        cursor.execute(_DEPARTED.encode(), values)
        while page := cursor.fetchmany(_PAGE_ROWS):
            yield cast("list[Row]", page)


def get(session: Session, list_id: UUID, format_: str) -> FileRow | None:
    """A file of a list."""
    row = session.execute(
        sa.select(*_FILE).where(FILE.c.list_id == list_id, FILE.c.format == format_)
    ).one_or_none()
    return FileRow(*row) if row else None


def of_list(session: Session, list_id: UUID) -> list[FileRow]:
    """The files of a list."""
    query = sa.select(*_FILE).where(FILE.c.list_id == list_id).order_by(FILE.c.format)
    return [FileRow(*row) for row in session.execute(query)]


def content(
    session: Session, list_id: UUID, format_: str, encoding: str, digest: bytes
) -> bytes | None:
    """The bytes of a file; None if another version has taken its place."""
    stored: bytes | None = session.scalar(
        sa.select(CONTENT.c.content).where(
            CONTENT.c.list_id == list_id,
            CONTENT.c.format == format_,
            CONTENT.c.encoding == encoding,
            CONTENT.c.digest == digest,
        )
    )
    return stored


def put(session: Session, tenant: str, written: WrittenFile) -> None:
    """Store a file in the place of the version before."""
    row = written.row
    values: dict[str, Any] = {**row._asdict(), "tenant": tenant}
    _upsert(session, FILE, values, ("list_id", "format"))
    for encoding, content_bytes in written.contents.items():
        piece: Mapping[str, Any] = {
            "tenant": tenant,
            "list_id": row.list_id,
            "format": row.format,
            "encoding": encoding,
            "digest": row.digest,
            "content": content_bytes,
        }
        _upsert(session, CONTENT, piece, ("list_id", "format", "encoding"))


def lock_file(session: Session, list_id: UUID, format_: str) -> None:
    """Let nobody else write a file until the transaction ends."""
    key = f"{list_id}/{format_}"
    session.execute(_LOCK, {"key": key})


def _upsert(
    session: Session, table: sa.Table, values: Mapping[str, Any], key: Sequence[str]
) -> None:
    statement = pg.insert(table).values(**values)
    others = {name: statement.excluded[name] for name in values if name not in key}
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=others))

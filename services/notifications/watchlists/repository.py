"""SQL of watchlists."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.notifications.watchlists.models import WATCHLIST, WATCHLIST_ENTRY
from shared.errors import Conflict

_PUT: Final = sa.text(
    "INSERT INTO watchlist_entry (watchlist_id, tenant, kind, value, note)"
    " SELECT :watchlist_id, :tenant, entry.* FROM unnest(CAST(:kinds AS text[]),"
    " CAST(:entries AS text[]), CAST(:notes AS text[])) AS entry"
    " ON CONFLICT (watchlist_id, kind, value) DO UPDATE SET note = excluded.note"
)
_DELETE: Final = sa.text(
    "DELETE FROM watchlist_entry AS old USING unnest(CAST(:kinds AS text[]),"
    " CAST(:entries AS text[])) AS entry (kind, value)"
    " WHERE old.watchlist_id = :watchlist_id AND old.kind = entry.kind"
    " AND old.value = entry.value"
)
_COUNT: Final = sa.text(
    "UPDATE watchlist SET version = version + 1, updated_at = now(), entry_count ="
    " (SELECT count(*) FROM watchlist_entry WHERE watchlist_id = :watchlist_id)"
    " WHERE id = :watchlist_id RETURNING *"
)


@dataclass(frozen=True, slots=True)
class StoredWatchlist:
    """A watchlist without its entries.

    Attributes:
        version: grows with every change of its entries.
    """

    id: UUID
    tenant: str
    name: str
    description: str
    entry_count: int
    version: int
    created_at: datetime
    updated_at: datetime


def insert(session: Session, values: Mapping[str, Any]) -> StoredWatchlist:
    """Store a new watchlist.

    Raises:
        Conflict: the tenant has a watchlist of that name.
    """
    try:
        statement = sa.insert(WATCHLIST).values(**values).returning(WATCHLIST)
        return StoredWatchlist(*session.execute(statement).one())
    except IntegrityError as error:
        name = values["name"]
        raise Conflict(f"There is already a watchlist named {name}.", field="name") from error


def describe(session: Session, watchlist_id: UUID, description: str) -> StoredWatchlist:
    """Change the description of a watchlist."""
    statement = (
        sa.update(WATCHLIST)
        .where(WATCHLIST.c.id == watchlist_id)
        .values(description=description, updated_at=sa.func.now())
        .returning(WATCHLIST)
    )
    return StoredWatchlist(*session.execute(statement).one())


def find(session: Session, watchlist_id: UUID, *, lock: bool = False) -> StoredWatchlist | None:
    """A watchlist of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(WATCHLIST).where(WATCHLIST.c.id == watchlist_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else StoredWatchlist(*row)


def lock_names(session: Session, names: Collection[str]) -> set[str]:
    """Those of some names that are watchlists; these cannot be deleted until the end."""
    query = sa.select(WATCHLIST.c.name).where(WATCHLIST.c.name.in_(names))
    return set(session.scalars(query.with_for_update(read=True)))


def list_by_name(
    session: Session, after: tuple[str, UUID] | None, limit: int
) -> list[StoredWatchlist]:
    """Watchlists by name, from behind the name and id `after`."""
    query = sa.select(WATCHLIST).order_by(WATCHLIST.c.name, WATCHLIST.c.id).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(WATCHLIST.c.name, WATCHLIST.c.id) > sa.tuple_(*after))
    return [StoredWatchlist(*row) for row in session.execute(query)]


def list_versions(session: Session) -> list[StoredWatchlist]:
    """The watchlists that the transaction may read."""
    return [StoredWatchlist(*row) for row in session.execute(sa.select(WATCHLIST))]


def delete(session: Session, watchlist_id: UUID) -> None:
    """Delete a watchlist with its entries."""
    session.execute(sa.delete(WATCHLIST).where(WATCHLIST.c.id == watchlist_id))


def put_entries(
    session: Session, watchlist: StoredWatchlist, entries: Sequence[tuple[str, str, str]]
) -> None:
    """Store entries: kind, value and note; an entry that is there gets the note."""
    if entries:
        kinds, values, notes = zip(*entries, strict=True)
        session.execute(
            _PUT,
            {
                "watchlist_id": watchlist.id,
                "tenant": watchlist.tenant,
                "kinds": list(kinds),
                "entries": list(values),
                "notes": list(notes),
            },
        )


def delete_entries(
    session: Session, watchlist_id: UUID, entries: Sequence[tuple[str, str]]
) -> None:
    """Delete entries, by kind and value."""
    kinds, values = zip(*entries, strict=True)
    session.execute(
        _DELETE, {"watchlist_id": watchlist_id, "kinds": list(kinds), "entries": list(values)}
    )


def clear(session: Session, watchlist_id: UUID) -> None:
    """Delete all entries."""
    session.execute(
        sa.delete(WATCHLIST_ENTRY).where(WATCHLIST_ENTRY.c.watchlist_id == watchlist_id)
    )


def count_entries(session: Session, watchlist_id: UUID) -> StoredWatchlist:
    """Count the entries of a watchlist, and note that they have changed."""
    row = session.execute(_COUNT, {"watchlist_id": watchlist_id}).mappings().one()
    return StoredWatchlist(**row)


def list_entries(
    session: Session, watchlist_id: UUID, after: tuple[str, str] | None, limit: int
) -> Sequence[sa.Row[Any]]:
    """Entries by kind and value, from behind `after`."""
    columns = WATCHLIST_ENTRY.c
    query = (
        sa.select(columns.kind, columns.value, columns.note, columns.created_at)
        .where(columns.watchlist_id == watchlist_id)
        .order_by(columns.kind, columns.value)
        .limit(limit)
    )
    if after is not None:
        query = query.where(sa.tuple_(columns.kind, columns.value) > sa.tuple_(*after))
    return list(session.execute(query))


def all_entries(session: Session, watchlist_id: UUID) -> Iterator[tuple[str, str]]:
    """Kind and value of all entries."""
    columns = WATCHLIST_ENTRY.c
    query = sa.select(columns.kind, columns.value).where(columns.watchlist_id == watchlist_id)
    for row in session.execute(query.execution_options(yield_per=10_000)):
        yield row.kind, row.value


_USERS: Final = sa.text(
    "SELECT name FROM (SELECT name, filter FROM rule UNION ALL SELECT 'a silence', filter"
    " FROM silence WHERE ends_at > now() UNION ALL"
    " SELECT name, source_filter || target_filter FROM inhibition) AS users"
    " WHERE strpos(filter, 'watchlist') > 0"
    " AND strpos(filter, :name) > 0 ORDER BY name LIMIT 5"
)


def users_of(session: Session, name: str) -> list[str]:
    """The names of rules, inhibitions and silences that refer to a watchlist, five at most."""
    return list(session.scalars(_USERS, {"name": name}))

"""Watchlists: keep them for the API, and in memory for filters."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.quotas.limits import WATCHLISTS
from services.notifications.watchlists import repository
from services.notifications.watchlists.csv_rows import read_entries
from services.notifications.watchlists.index import WatchlistIndex, canonical_entry
from services.notifications.watchlists.repository import StoredWatchlist
from services.notifications.watchlists.schemas import (
    CsvBody,
    EntriesBody,
    EntryView,
    WatchlistCreate,
    WatchlistPatch,
    WatchlistView,
)
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from shared.events.audit import FieldChange
from shared.filters.filter import FilterExpression
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room

MAX_ENTRIES: Final = 100_000
"""Entries of a watchlist."""


class WatchlistCache:
    """Watchlists in memory, each read anew when its version has grown."""

    def __init__(self) -> None:
        self._indexes: dict[UUID, tuple[int, WatchlistIndex]] = {}

    def read(self, session: Session, names: Collection[str]) -> dict[str, WatchlistIndex]:
        """The watchlists of some names, which are qualified by the tenant: `acme/ours`."""
        if not names:
            return {}
        indexes: dict[UUID, tuple[int, WatchlistIndex]] = {}
        by_name: dict[str, WatchlistIndex] = {}
        for stored in repository.list_versions(session):
            name = f"{stored.tenant}/{stored.name}"
            if name in names:
                current = self._indexes.get(stored.id)
                if current is None or current[0] != stored.version:
                    current = stored.version, _index(session, stored.id)
                indexes[stored.id] = current
                by_name[name] = current[1]
        self._indexes = indexes
        return by_name


def _index(session: Session, watchlist_id: UUID) -> WatchlistIndex:
    return WatchlistIndex(repository.all_entries(session, watchlist_id))


def tenant_watchlists(
    session: Session, tenant: str, expression: FilterExpression
) -> Mapping[str, WatchlistIndex]:
    """A tenant's watchlists that a filter refers to, under their qualified names."""
    names = {f"{tenant}/{name}" for name in expression.watchlists}
    return WatchlistCache().read(session, names)


def require_watchlists(session: Session, names: Collection[str]) -> None:
    """Require that the tenant has some watchlists, and keep them until the transaction ends.

    Raises:
        InvalidInput: a watchlist does not exist.
    """
    missing = set(names) - (repository.lock_names(session, names) if names else set())
    if missing:
        raise InvalidInput(f"There is no watchlist {min(missing)}.", field="filter")


def list_watchlists(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[WatchlistView]:
    """Watchlists by name."""
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(principal.tenant) as session:
        watchlists = repository.list_by_name(session, position, limit + 1)
    page = paginate(watchlists, limit, lambda watchlist: (watchlist.name, watchlist.id))
    return page.map(WatchlistView.model_validate)


def get_watchlist(database: Database, principal: Principal, watchlist_id: UUID) -> WatchlistView:
    """A watchlist.

    Raises:
        NotFound: the tenant has no such watchlist.
    """
    with database.transaction(principal.tenant) as session:
        return WatchlistView.model_validate(_get(session, watchlist_id))


def create_watchlist(
    database: Database, principal: Principal, body: WatchlistCreate
) -> WatchlistView:
    """Create a watchlist.

    Raises:
        Conflict: the tenant has a watchlist of that name.
        QuotaExceeded: it has as many as it may have.
    """
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, WATCHLISTS)
        values = {"id": uuid7(), "tenant": principal.tenant, **body.model_dump()}
        watchlist = repository.insert(session, values)
        _audit(session, principal, "create", watchlist)
    return WatchlistView.model_validate(watchlist)


def change_watchlist(
    database: Database, principal: Principal, watchlist_id: UUID, body: WatchlistPatch
) -> WatchlistView:
    """Change the description of a watchlist.

    Raises:
        NotFound: the tenant has no such watchlist.
    """
    with database.transaction(principal.tenant) as session:
        before = _get(session, watchlist_id, lock=True)
        watchlist = repository.describe(session, watchlist_id, body.description)
        changes = changes_between(
            {"description": before.description}, {"description": watchlist.description}
        )
        _audit(session, principal, "update", watchlist, changes)
    return WatchlistView.model_validate(watchlist)


def delete_watchlist(database: Database, principal: Principal, watchlist_id: UUID) -> None:
    """Delete a watchlist that no filter refers to.

    Raises:
        NotFound: the tenant has no such watchlist.
        Conflict: rules or silences refer to it; the message names them.
    """
    with database.transaction(principal.tenant) as session:
        watchlist = _get(session, watchlist_id, lock=True)
        if users := repository.users_of(session, watchlist.name):
            names = ", ".join(users)
            raise Conflict(f"Filters refer to this watchlist: {names}. Change them first.")
        _audit(session, principal, "delete", watchlist)
        repository.delete(session, watchlist_id)


def list_entries(
    database: Database, principal: Principal, watchlist_id: UUID, after: str | None, limit: int
) -> Page[EntryView]:
    """Entries by kind and value.

    Raises:
        NotFound: the tenant has no such watchlist.
    """
    position = decode_cursor(after, tuple[str, str])
    with database.transaction(principal.tenant) as session:
        _get(session, watchlist_id)
        entries = repository.list_entries(session, watchlist_id, position, limit + 1)
    page = paginate(entries, limit, lambda entry: (entry.kind, entry.value))
    return page.map(EntryView.model_validate)


def add_entries(
    database: Database, principal: Principal, watchlist_id: UUID, body: EntriesBody
) -> WatchlistView:
    """Add entries; one that is there gets the new note.

    Raises:
        NotFound: the tenant has no such watchlist.
        InvalidInput: an entry cannot be used.
        QuotaExceeded: the watchlist would have more entries than it may.
    """
    entries = _canonical(body)
    return _write(database, principal, watchlist_id, entries, replace=False)


def import_csv(
    database: Database, principal: Principal, watchlist_id: UUID, body: CsvBody
) -> WatchlistView:
    """Add the entries of a CSV document, or replace all entries by them.

    Raises:
        NotFound: the tenant has no such watchlist.
        InvalidInput: a row cannot be used; the message has its line, and nothing is changed.
        QuotaExceeded: the watchlist would have more entries than it may.
    """
    entries = read_entries(body.csv)
    return _write(database, principal, watchlist_id, entries, replace=body.replace)


def remove_entries(
    database: Database, principal: Principal, watchlist_id: UUID, body: EntriesBody
) -> WatchlistView:
    """Remove entries; those that are not there stay away.

    Raises:
        NotFound: the tenant has no such watchlist.
        InvalidInput: an entry cannot be one.
    """
    entries = [(kind, value) for kind, value, _ in _canonical(body)]
    with database.transaction(principal.tenant) as session:
        _get(session, watchlist_id, lock=True)
        repository.delete_entries(session, watchlist_id, entries)
        watchlist = repository.count_entries(session, watchlist_id)
        _audit(session, principal, "remove_entries", watchlist, entries=str(len(entries)))
    return WatchlistView.model_validate(watchlist)


def _write(
    database: Database,
    principal: Principal,
    watchlist_id: UUID,
    entries: Sequence[tuple[str, str, str]],
    *,
    replace: bool,
) -> WatchlistView:
    with database.transaction(principal.tenant) as session:
        _get(session, watchlist_id, lock=True)
        if replace:
            repository.clear(session, watchlist_id)
        repository.put_entries(session, _get(session, watchlist_id), entries)
        watchlist = repository.count_entries(session, watchlist_id)
        if watchlist.entry_count > MAX_ENTRIES:
            raise QuotaExceeded(
                f"A watchlist has {MAX_ENTRIES:,} entries at most; make another one."
            )
        verb = "replace_entries" if replace else "add_entries"
        _audit(session, principal, verb, watchlist, entries=str(len(entries)))
    return WatchlistView.model_validate(watchlist)


def _canonical(body: EntriesBody) -> list[tuple[str, str, str]]:
    entries: dict[tuple[str, str], str] = {}
    for number, entry in enumerate(body.entries):
        try:
            entries[canonical_entry(entry.kind, entry.value)] = entry.note
        except InvalidInput as error:
            raise InvalidInput(error.message, field=f"entries.{number}.value") from None
    return [(kind, value, note) for (kind, value), note in entries.items()]


def _get(session: Session, watchlist_id: UUID, *, lock: bool = False) -> StoredWatchlist:
    watchlist = repository.find(session, watchlist_id, lock=lock)
    if watchlist is None:
        raise NotFound(f"There is no watchlist {watchlist_id}.")
    return watchlist


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    watchlist: StoredWatchlist,
    changes: Mapping[str, FieldChange] | None = None,
    **details: str,
) -> None:
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.watchlist.{verb}",
        watchlist.id,
        changes,
        name=watchlist.name,
        **details,
    )

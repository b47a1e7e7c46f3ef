"""Lists of tenants: created, changed, deleted, released, read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.dissemination.lists import repository
from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.guards import (
    PROTECTED,
    is_network,
    read_protected,
)
from services.observables.dissemination.lists.models import ChangeRow, ListRow, ProtectedRow
from services.observables.dissemination.lists.schemas import (
    ChangePage,
    ChangeView,
    EntryPage,
    ListCreate,
    ListDifference,
    ListEntryView,
    ListPatch,
    ListView,
    ProtectedCreate,
)
from services.observables.list_formats.registry import list_format_named
from services.observables.quotas.limits import COLLECTIONS, LISTS, PROTECTED_VALUES
from shared.audit import changes_between
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, encode_cursor, paginate
from shared.quotas import require_room
from shared.stix.ids import stix_type

_NULLABLE: Final = frozenset({"capacity", "max_growth", "max_shrink"})
_SELECTING: Final = frozenset({"filter", "capacity", "profile", "tlp_ceiling", "grace_seconds"})
"""Fields that decide who is a member."""
_WRITTEN: Final = frozenset({"order_by", "format_options"})
"""Fields that decide how files are written."""
_FIRST: Final = UUID(int=0)
_DIFFERENCE_ROWS: Final = 10_000


def list_lists(database: Database, tenant: str, after: str | None, limit: int) -> Page[ListView]:
    """A page of a tenant's lists, by name."""
    key = decode_cursor(after, tuple[str])
    start = key[0] if key else None
    with database.transaction(tenant) as session:
        rows = paginate(
            repository.page(session, tenant, start, limit + 1), limit, lambda row: (row.name,)
        )
        refusals = repository.refusals(session, [row.id for row in rows.items])
    return rows.map(lambda row: view(row, refusals.get(row.id, {})))


def get_list(database: Database, tenant: str, list_id: UUID) -> ListView:
    """A list.

    Raises:
        NotFound: the tenant has no such list.
    """
    with database.transaction(tenant) as session:
        row = require_list(session, tenant, list_id)
        return view(row, repository.refusals(session, [list_id]).get(list_id, {}))


def require_list(session: Session, tenant: str, list_id: UUID) -> ListRow:
    """A list of the tenant.

    Raises:
        NotFound: the tenant has no such list.
    """
    row = repository.get(session, tenant, list_id)
    if row is None:
        raise _not_found(list_id)
    return row


def create_list(database: Database, tenant: str, actor: str, body: ListCreate) -> ListView:
    """Create a list; its members are selected soon after.

    Raises:
        InvalidInput: its filter, or an option of a format, cannot be used.
        Conflict: the tenant has one of that name.
        QuotaExceeded: the tenant has as many lists or collections as it may have.
    """
    parse_list_filter(body.filter)
    _check_options(body.format_options)
    with database.transaction(tenant) as session:
        require_room(session, tenant, LISTS)
        if body.is_collection:
            require_room(session, tenant, COLLECTIONS)
        row = repository.add(session, tenant, uuid4(), body.model_dump(), actor)
        changes = changes_between({}, _audited(row))
        audit(session, SERVICE, tenant, actor, "lists.create", row.id, changes, name=row.name)
    return view(row, {})


def change_list(
    database: Database, tenant: str, actor: str, list_id: UUID, patch: ListPatch
) -> ListView:
    """Change a list; where it selects otherwise, its members are selected anew.

    Raises:
        InvalidInput: its filter, or an option of a format, cannot be used.
        NotFound: the tenant has no such list.
        Conflict: the tenant has another one of that name.
        QuotaExceeded: it is to become a collection, and the tenant has as many as it may have.
    """
    values = {
        name: value
        for name, value in patch.model_dump(exclude_unset=True).items()
        if value is not None or name in _NULLABLE
    }
    if "filter" in values:
        parse_list_filter(values["filter"])
    _check_options(values.get("format_options", {}))
    with database.transaction(tenant) as session:
        before = repository.lock(session, tenant, list_id)
        if before is None:
            raise _not_found(list_id)
        changed = {name for name, value in values.items() if getattr(before, name) != value}
        if "is_collection" in changed and values["is_collection"]:
            require_room(session, tenant, COLLECTIONS)
        row = _edit(session, tenant, before, values, changed)
        changes = changes_between(_audited(before), _audited(row))
        fields = ", ".join(sorted(changed))
        audit(session, SERVICE, tenant, actor, "lists.change", list_id, changes, fields=fields)
        return view(row, repository.refusals(session, [list_id]).get(list_id, {}))


def _check_options(options: Mapping[str, Mapping[str, str]]) -> None:
    for name, own in options.items():
        list_format_named(name).check_options(own)


def _edit(
    session: Session, tenant: str, before: ListRow, values: Mapping[str, Any], changed: set[str]
) -> ListRow:
    if not changed:
        return before
    revision = before.revision + 1 if changed & (_SELECTING | _WRITTEN) else before.revision
    columns = {**values, "revision": revision, "updated_at": repository.NOW}
    row = repository.change(session, tenant, before.id, columns)
    return before if row is None else row


def delete_list(database: Database, tenant: str, actor: str, list_id: UUID) -> None:
    """Delete a list with its history; its consumers get nothing of it any more.

    Raises:
        NotFound: the tenant has no such list.
    """
    with database.transaction(tenant) as session:
        # Before the list itself: in this order events lock a fill and its list.
        repository.stop_fill(session, tenant, list_id)
        before = repository.lock(session, tenant, list_id)
        if before is None or not repository.delete(session, tenant, list_id):
            raise _not_found(list_id)
        changes = changes_between(_audited(before), {})
        audit(session, SERVICE, tenant, actor, "lists.delete", list_id, changes)


# Versions


def list_changes_after(session: Session, list_id: UUID, number: int, limit: int) -> list[ChangeRow]:
    """The published changes of a list behind a number, in their order, which is that of commits.

    Numbers have no gaps. Nothing of what comes after a list was stopped is among them.
    """
    return repository.changes_after(session, list_id, number, limit)


def changes_page(
    database: Database, tenant: str, list_id: UUID, after: int, limit: int
) -> ChangePage:
    """The changes behind a version, as a page.

    Raises:
        NotFound: the tenant has no such list.
        InvalidInput: the list has no such version, or the changes behind it are kept no more.
    """
    with database.transaction(tenant) as session:
        row = require_list(session, tenant, list_id)
        _check_version(session, row, after, "after")
        rows = repository.changes_after(session, list_id, after, limit + 1)
    items = [change_view(change) for change in rows[:limit]]
    following = str(items[-1].number) if len(rows) > limit else None
    return ChangePage(items=items, next=following, version=row.published_number)


def difference(
    database: Database, tenant: str, list_id: UUID, before: int, after: int
) -> ListDifference:
    """What joined and left between two versions, each observable once.

    Raises:
        NotFound: the tenant has no such list.
        InvalidInput: the list has no such versions.
    """
    if before > after:
        raise InvalidInput("`before` must not be behind `after`.", field="before")
    with database.transaction(tenant) as session:
        row = require_list(session, tenant, list_id)
        _check_version(session, row, before, "before")
        _check_version(session, row, after, "after")
        rows = repository.difference(session, list_id, before, after, _DIFFERENCE_ROWS + 1)
    shown = [change_view(change) for change in rows[:_DIFFERENCE_ROWS]]
    return ListDifference(
        before=before,
        after=after,
        joined=[change for change in shown if change.kind == "in"],
        left=[change for change in shown if change.kind == "out"],
        is_complete=len(rows) <= _DIFFERENCE_ROWS,
    )


def entries_page(
    database: Database,
    tenant: str,
    list_id: UUID,
    as_of: datetime | None,
    after: str | None,
    limit: int,
) -> EntryPage:
    """Members of a list, now or as of a moment, by id.

    Raises:
        NotFound: the tenant has no such list.
        InvalidInput: `after` is no cursor of such a list, or history does not reach back so far.
    """
    key = decode_cursor(after, tuple[UUID, int])
    start = key[0] if key else _FIRST
    with database.transaction(tenant) as session:
        row = require_list(session, tenant, list_id)
        if key is not None:
            number = key[1]
        elif as_of is None:
            number = row.published_number
        else:
            number = min(repository.number_at(session, list_id, as_of), row.published_number)
        _check_version(session, row, number, "as_of")
        past = repository.members_at(session, list_id, number, start, limit + 1)
        present = repository.entries_of(session, list_id, [member[0] for member in past])
    items = []
    for observable, type_, value, score in past[:limit]:
        entry = present.get(observable)
        items.append(
            ListEntryView(
                id=_stix_id(type_, observable),
                type=type_,
                value=value,
                score=score,
                joined_at=entry.joined_at if entry else None,
                leaves_at=entry.leaves_at if entry else None,
            )
        )
    following = encode_cursor(past[limit - 1][0], number) if len(past) > limit else None
    return EntryPage(items=items, next=following, version=number)


def _check_version(session: Session, row: ListRow, number: int, field: str) -> None:
    if number > row.published_number:
        raise InvalidInput(
            f"The newest version of this list is {row.published_number}.", field=field
        )
    first = repository.first_number(session, row.id)
    if number < (row.last_change_number if first is None else first - 1):
        raise InvalidInput(
            "The changes behind that version are kept no more; read the whole list.", field=field
        )


# Protected values


def protected_values(database: Database, tenant: str) -> list[ProtectedRow]:
    """The protected names and networks of a tenant."""
    with database.transaction(tenant) as session:
        return repository.protected_values(session, tenant)


def protect_value(
    database: Database, tenant: str, actor: str, body: ProtectedCreate
) -> ProtectedRow:
    """Keep a name or network out of all lists of the tenant, from now on.

    Raises:
        InvalidInput: it is neither a name nor a network.
        Conflict: it is protected already.
        QuotaExceeded: the tenant has as many as it may have.
    """
    value = read_protected(body.value)
    with database.transaction(tenant) as session:
        require_room(session, tenant, PROTECTED_VALUES)
        repository.lock_all(session, tenant)
        row = repository.protect(session, tenant, value, body.note, actor)
        repository.renew_touched(session, tenant, value, network=is_network(value))
        audit(session, SERVICE, tenant, actor, "lists.protect", value, {}, note=body.note)
    return row


def unprotect_value(database: Database, tenant: str, actor: str, value: str) -> None:
    """Protect a name or network no more.

    Raises:
        NotFound: it is not protected.
    """
    with database.transaction(tenant) as session:
        repository.lock_all(session, tenant)
        if not repository.unprotect(session, tenant, value):
            raise NotFound(f"{value} is not protected.")
        repository.renew_refusing(session, tenant, PROTECTED)
        audit(session, SERVICE, tenant, actor, "lists.unprotect", value)


# Views


def view(row: ListRow, refused: Mapping[str, int]) -> ListView:
    """A list as the API shows it."""
    return ListView(
        **{name: getattr(row, name) for name in _SHOWN},
        sentence=parse_list_filter(row.filter).sentence,
        refused=dict(refused),
        version=row.last_change_number,
        published_version=row.published_number,
        is_filled=row.filled_revision == row.revision,
    )


def change_view(change: ChangeRow) -> ChangeView:
    """A change as the API shows it."""
    values = change._asdict()
    observable = values.pop("observable_id")
    return ChangeView(**values, id=_stix_id(change.type, observable))


def _stix_id(type_: str, observable: UUID) -> str:
    return f"{stix_type(type_)}--{observable}"


_SHOWN: Final = tuple(name for name in ListRow._fields if name in ListView.model_fields)
_EDITED: Final = tuple(ListCreate.model_fields)


def _audited(row: ListRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _EDITED}


def _not_found(list_id: UUID) -> NotFound:
    return NotFound(f"There is no list {list_id} in this tenant.")

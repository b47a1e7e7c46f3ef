"""Collections follow their lists: what joins a list is added, what leaves it is taken back.

Changes are read in the order of their numbers, in bulk. A transaction adds the objects of some of
them and moves the collection's cursor, so that a process that is killed repeats nothing. What
leaves is said once more, revoked; STIX lets nothing that is revoked come back, so that what joins
again is a new indicator.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.dissemination.lists import repository as lists
from services.observables.dissemination.lists.models import ChangeRow, ListRow
from services.observables.dissemination.lists.service import list_changes_after
from services.observables.list_formats.patterns import pattern_of
from services.observables.quotas.limits import COLLECTIONS
from services.observables.taxii.indicators import (
    ListedIndicator,
    creation_of,
    indicator_id,
    revocation_of,
    write_indicator,
)
from services.observables.taxii.models import CollectionRow, MemberRow, NewObject
from services.observables.taxii.repository import collections, members, objects
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.errors import QuotaExceeded
from shared.kafka.outbox import audit
from shared.quotas import require_room
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

SWEEP_SECONDS: Final = 1.0
PIECE: Final = 2_000
"""Changes of one transaction."""
_FIRST_ID: Final = UUID(int=0)


class _Draft:
    """What a transaction does to a collection, change by change.

    Args:
        collection: its id.
        present: what the collection has of the observables that are concerned.
    """

    def __init__(self, collection: UUID, present: dict[UUID, MemberRow]) -> None:
        self._collection = collection
        self._before = dict(present)
        self._present = present
        self.objects: list[NewObject] = []
        self.unnamed = 0

    def add(  # the columns of a change
        self,
        observable: UUID,
        kind: str,
        value: str,
        score: int,
        *,
        marking: str,
        number: int,
        moment: datetime,
    ) -> None:
        """Let an observable join; one that no pattern can name is counted and left out."""
        pattern = pattern_of(kind, value)
        if pattern is None:
            self.unnamed += 1
            return
        if observable in self._present:
            return
        identity = indicator_id(self._collection, pattern, number)
        row = MemberRow(observable, identity, kind, value, score, marking, creation_of(moment))
        self._present[observable] = row
        self._write(row, None)

    def revoke(self, observable: UUID, moment: datetime) -> None:
        """Take an observable back, if the collection has it."""
        row = self._present.pop(observable, None)
        if row is not None:
            self._write(row, revocation_of(moment, row.created))

    def _write(self, row: MemberRow, revoked: datetime | None) -> None:
        indicator = ListedIndicator(
            row.object_id, row.type, row.value, row.score, row.marking, row.created
        )
        payload = write_indicator(indicator, revoked)
        self.objects.append(
            NewObject(
                row.object_id,
                revoked or row.created,
                "indicator",
                "2.1",
                revoked is not None,
                payload,
            )
        )

    def store(self, session: Session, tenant: str) -> None:
        """Append the objects, and note what the collection has now."""
        objects.append_objects(session, tenant, self._collection, self.objects)
        replaced = {
            identity
            for identity in self._before
            if self._present.get(identity) != self._before[identity]
        }
        new = [row for identity, row in self._present.items() if self._before.get(identity) != row]
        members.replace_members(session, tenant, self._collection, replaced, new)


def follow_lists(database: Database) -> dict[str, int]:
    """Let all collections follow their lists; return how many changes each has taken.

    A list that is a collection by its settings gets one first.
    """
    _create_missing(database)
    with database.transaction(PLATFORM) as session:
        behind = members.list_behind(session)
    counts = {str(identity): follow_list(database, tenant, identity) for tenant, identity in behind}
    return {identity: count for identity, count in counts.items() if count}


def _create_missing(database: Database) -> None:
    with database.transaction(PLATFORM) as session:
        unserved = collections.lists_without(session)
    for source in unserved:
        values = {
            "title": source.name,
            "description": source.description,
            "list_id": source.id,
            "tlp": source.tlp,
        }
        try:
            _create(database, source, values)
        except QuotaExceeded as error:
            log.warning("collection.not_created", list=str(source.id), reason=error.message)


def _create(database: Database, source: collections.UnservedList, values: dict[str, Any]) -> None:
    with database.transaction(source.tenant) as session:
        require_room(session, source.tenant, COLLECTIONS)
        actor = source.created_by
        row = collections.add_collection(session, source.tenant, uuid4(), values, actor)
        if row is not None:
            audit(session, NAME, source.tenant, actor, "collections.create", row.id)


def follow_list(database: Database, tenant: str, collection: UUID) -> int:
    """Let one collection follow its list; return how many changes it has taken."""
    total = 0
    while count := _take_piece(database, tenant, collection):
        total += count
    return total


def _take_piece(database: Database, tenant: str, collection: UUID) -> int:
    with database.transaction(tenant) as session:
        row = collections.get_collection(session, tenant, collection, is_locked=True)
        if row is None or row.list_id is None:
            return 0
        source = lists.get(session, tenant, row.list_id)
        if source is None:
            return _revoke_all(session, row)
        if source.published_number <= row.list_cursor:
            return 0
        oldest = lists.first_number(session, source.id)
        if oldest is None or oldest > row.list_cursor + 1:
            return _start_anew(session, row, source)
        changes = list_changes_after(session, source.id, row.list_cursor, PIECE)
        if changes:
            _apply(session, row, source, changes)
        return len(changes)


def _apply(
    session: Session, row: CollectionRow, source: ListRow, changes: Sequence[ChangeRow]
) -> None:
    observables = {change.observable_id for change in changes}
    draft = _Draft(row.id, members.members_of(session, row.id, observables))
    for change in changes:
        if change.kind == "in":
            draft.add(
                change.observable_id,
                change.type,
                change.value,
                change.score,
                marking=source.tlp_ceiling,
                number=change.number,
                moment=change.changed_at,
            )
        else:
            draft.revoke(change.observable_id, change.changed_at)
    draft.store(session, row.tenant)
    _move(session, row, changes[-1].number)
    if draft.unnamed:
        log.info("collection.omitted", collection=str(row.id), entries=draft.unnamed)


def _start_anew(session: Session, row: CollectionRow, source: ListRow) -> int:
    """Follow a list whose older changes are gone: compare its members with what there is."""
    number = source.published_number
    now = database_now(session)
    count = 0
    after = _FIRST_ID
    remaining: set[UUID] = set()
    while page := lists.members_at(session, source.id, number, after, PIECE):
        draft = _Draft(row.id, members.members_of(session, row.id, {entry[0] for entry in page}))
        for observable, kind, value, score in page:
            draft.add(
                observable,
                kind,
                value,
                score,
                marking=source.tlp_ceiling,
                number=number,
                moment=now,
            )
            remaining.add(observable)
        draft.store(session, row.tenant)
        count += len(draft.objects)
        after = page[-1][0]
    count += _revoke_others(session, row, remaining, now)
    _move(session, row, number)
    log.info("collection.compared", collection=str(row.id), number=number, objects=count)
    return max(count, 1)


def _revoke_others(
    session: Session, row: CollectionRow, remaining: set[UUID], now: datetime
) -> int:
    count = 0
    after = _FIRST_ID
    while page := members.first_members(session, row.id, after, PIECE):
        after = max(page)
        count += _revoke(session, row, page, page.keys() - remaining, now)
    return count


def _revoke_all(session: Session, row: CollectionRow) -> int:
    """Take back what a list has left that was deleted, some of it."""
    page = members.first_members(session, row.id, _FIRST_ID, PIECE)
    return _revoke(session, row, page, list(page), database_now(session)) if page else 0


def _revoke(
    session: Session,
    row: CollectionRow,
    page: dict[UUID, MemberRow],
    observables: Iterable[UUID],
    now: datetime,
) -> int:
    draft = _Draft(row.id, page)
    for observable in sorted(observables):
        draft.revoke(observable, now)
    if draft.objects:
        draft.store(session, row.tenant)
    return len(draft.objects)


def _move(session: Session, row: CollectionRow, number: int) -> None:
    collections.change_collection(session, row.tenant, row.id, {"list_cursor": number})

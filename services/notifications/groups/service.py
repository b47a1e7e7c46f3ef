"""Groups: list, acknowledge and close them for the API, look into them for other rooms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.fields import TOPIC_FIELDS, event_change
from services.notifications.groups import repository
from services.notifications.groups.repository import StoredGroup, close_subjects
from services.notifications.groups.schemas import BatchView, GroupView
from shared.auth import Principal
from shared.database import Database
from shared.errors import Conflict, NotFound
from shared.events.observables import Change
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate

__all__ = [
    "SILENCE_GRACE",
    "RecentMatches",
    "acknowledge_group",
    "close_group",
    "close_subjects",
    "count_silenced",
    "end_silence_groups",
    "get_group",
    "list_batches",
    "list_groups",
    "recent_matches",
]

_EVENT_NAMES: Final = ("type", "value", "kind")
SILENCE_GRACE: Final = timedelta(seconds=2)
"""From the end of a silence until what it held is summed up: transactions end meanwhile that have
seen it hold."""


@dataclass(frozen=True, slots=True)
class RecentMatches:
    """What a rule has matched in an event, which was published at a time.

    Attributes:
        changes: of observables, or an event of another topic in the form of a change.
        paths: the fields that these have; None stands for all.
    """

    rule: str
    severity: str
    source: str
    changes: list[Change]
    paths: frozenset[str] | None
    at: datetime

    def example(self, change: Change) -> dict[str, object]:
        """One of the changes, in a preview."""
        names = ("id", "type", "value", "kind", "score") if self.paths is None else _EVENT_NAMES
        return {name: getattr(change, name) for name in names}


def list_groups(
    database: Database,
    principal: Principal,
    after: str | None,
    limit: int,
    *,
    rule_id: UUID | None = None,
    is_open: bool | None = None,
) -> Page[GroupView]:
    """Groups, newest first."""
    position = decode_cursor(after, tuple[UUID])
    last = position[0] if position else None
    with database.transaction(principal.tenant) as session:
        groups = repository.list_newest(session, last, limit + 1, rule_id, is_open=is_open)
    return paginate(groups, limit, lambda group: (group.id,)).map(GroupView.model_validate)


def get_group(database: Database, principal: Principal, group_id: UUID) -> GroupView:
    """A group.

    Raises:
        NotFound: the tenant has no such group.
    """
    with database.transaction(principal.tenant) as session:
        return GroupView.model_validate(_get(session, group_id))


def list_batches(
    database: Database, principal: Principal, group_id: UUID, after: str | None, limit: int
) -> Page[BatchView]:
    """All matches of a group by event, oldest first.

    Raises:
        NotFound: the tenant has no such group.
    """
    position = decode_cursor(after, tuple[int])
    with database.transaction(principal.tenant) as session:
        _get(session, group_id)
        last = position[0] if position else 0
        batches = repository.list_batches(session, group_id, last, limit + 1)
    return paginate(batches, limit, lambda batch: (batch.id,)).map(BatchView.model_validate)


def acknowledge_group(database: Database, principal: Principal, group_id: UUID) -> GroupView:
    """Say that somebody takes care of a group: its next recipients are not reminded.

    Repeated, it changes nothing.

    Raises:
        NotFound: the tenant has no such group.
    """
    with database.transaction(principal.tenant) as session:
        group = _get(session, group_id, lock=True)
        if group.acknowledged_at is None:
            values = {
                "acknowledged_at": repository.database_time(session),
                "acknowledged_by": principal.actor,
                "escalates_at": None,
            }
            group = repository.change(session, group_id, values)
            _audit(session, principal, "acknowledge", group)
    return GroupView.model_validate(group)


def close_group(database: Database, principal: Principal, group_id: UUID) -> GroupView:
    """Close a group, which is told; what matches next opens another.

    Raises:
        NotFound: the tenant has no such group.
        Conflict: it is closed, or about to be.
    """
    with database.transaction(principal.tenant) as session:
        group = _get(session, group_id, lock=True)
        if group.digest_id is not None or group.silence_id is not None:
            raise Conflict("A digest or a silence tells of this group; it closes with that.")
        if not repository.close_group(session, group_id, f"closed by {principal.actor}"):
            raise Conflict("This group is closed, or about to be.")
        _audit(session, principal, "close", group)
        group = _get(session, group_id)
    return GroupView.model_validate(group)


# For other rooms


def end_silence_groups(session: Session, silence_id: UUID, ends_at: datetime) -> None:
    """Sum up what a silence holds at its new end."""
    repository.end_silence(session, silence_id, ends_at + SILENCE_GRACE)


def count_silenced(session: Session, silence_id: UUID) -> int:
    """The number of matches that a silence has held."""
    return repository.count_of_silence(session, silence_id)


def recent_matches(session: Session, since: datetime) -> Iterator[RecentMatches]:
    """What the rules of the transaction's tenant have matched since a time, newest first."""
    for row in repository.recent_batches(session, since):
        changes = [msgspec.convert(match, Change) for match in row.matches if "value" in match]
        events = [event_change(match) for match in row.matches if "topic" in match]
        for each, paths in ((changes, None), (events, TOPIC_FIELDS)):
            if each:
                yield RecentMatches(row.rule, row.severity, row.source, each, paths, row.event_at)


def _get(session: Session, group_id: UUID, *, lock: bool = False) -> StoredGroup:
    group = repository.find(session, group_id, lock=lock)
    if group is None:
        raise NotFound(f"There is no group {group_id}.")
    return group


def _audit(session: Session, principal: Principal, verb: str, group: StoredGroup) -> None:
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.group.{verb}",
        group.id,
        rule=group.rule,
    )

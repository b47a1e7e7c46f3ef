"""Groups as rows: the store that the engine writes to for events as they happen."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.deliveries.service import NewDelivery, add_deliveries
from services.notifications.groups import repository
from services.notifications.groups.engine import EscalationStep, MatchSet, OpenGroup
from services.notifications.groups.repository import StoredGroup


class SqlGroupStore:
    """A `GroupStore` within a transaction of the platform.

    Args:
        session: the transaction.
        names: of all enabled channels, by their ids.
    """

    def __init__(self, session: Session, names: Mapping[UUID, str]) -> None:
        self._session = session
        self._names = names

    def open_groups(self, rule_id: UUID, keys: Collection[str]) -> dict[str, OpenGroup]:
        """The open groups of a rule by their keys; they stay open until the transaction ends."""
        groups = repository.lock_open(self._session, rule_id, keys)
        return {group.key: open_group(group, self._names) for group in groups}

    def reserve_openings(self, rule_id: UUID) -> int:
        """Keep others from opening groups of a rule; the number of those that are open."""
        return repository.reserve_openings(self._session, rule_id)

    def insert_group(self, group: OpenGroup) -> None:
        """Store a new group."""
        repository.insert_group(self._session, _columns(group))

    def insert_batch(self, group: OpenGroup, matches: MatchSet, window_number: int | None) -> None:
        """Store matches; without a number they wait for the end of the group's window."""
        values = {
            "tenant": group.tenant,
            "group_id": group.id,
            "window_number": window_number,
            "event_id": matches.event_id,
            "key": matches.key,
            "source": matches.source,
            "matches": msgspec.to_builtins(matches.matches),
            "match_count": len(matches.matches),
            "event_at": matches.event_at,
        }
        repository.insert_batch(self._session, values)

    def insert_deliveries(self, deliveries: Sequence[NewDelivery]) -> None:
        """Store messages."""
        add_deliveries(self._session, deliveries)


def open_group(stored: StoredGroup, names: Mapping[UUID, str]) -> OpenGroup:
    """A stored group as the engine knows it; a channel without a name is switched off."""
    return OpenGroup(
        id=stored.id,
        tenant=stored.tenant,
        rule_id=stored.rule_id,
        rule=stored.rule,
        key=stored.key,
        labels=stored.labels,
        subject=stored.subject,
        severity=stored.severity,
        channels=_named(stored.channel_ids, names),
        update_seconds=stored.update_seconds,
        silence_id=stored.silence_id,
        digest_id=stored.digest_id,
        opened_at=stored.opened_at,
        window_ends_at=stored.window_ends_at,
        window_number=stored.window_number,
        match_count=stored.match_count,
        last_match_at=stored.last_match_at,
        closing_reason=stored.closing_reason,
        escalation=tuple(_step(step, names) for step in stored.escalation),
    )


def _named(channel_ids: Sequence[UUID], names: Mapping[UUID, str]) -> tuple[tuple[UUID, str], ...]:
    return tuple((id_, names[id_]) for id_ in channel_ids if id_ in names)


def _step(values: Mapping[str, Any], names: Mapping[UUID, str]) -> EscalationStep:
    channel_ids = [UUID(each) for each in values["channel_ids"]]
    return EscalationStep(values["after_seconds"], _named(channel_ids, names))


def _columns(group: OpenGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "tenant": group.tenant,
        "rule_id": group.rule_id,
        "rule": group.rule,
        "key": group.key,
        "labels": group.labels,
        "subject": group.subject,
        "severity": group.severity,
        "channel_ids": [channel_id for channel_id, _ in group.channels],
        "update_seconds": group.update_seconds,
        "silence_id": group.silence_id,
        "digest_id": group.digest_id,
        "opened_at": group.opened_at,
        "window_number": group.window_number,
        "window_ends_at": group.window_ends_at,
        "match_count": group.match_count,
        "last_match_at": group.last_match_at,
        "escalation": [_step_columns(step) for step in group.escalation],
        "escalates_at": _escalates_at(group),
    }


def _step_columns(step: EscalationStep) -> dict[str, Any]:
    channel_ids = [str(channel_id) for channel_id, _ in step.channels]
    return {"after_seconds": step.after_seconds, "channel_ids": channel_ids}


def _escalates_at(group: OpenGroup) -> datetime | None:
    if not group.escalation:
        return None
    return group.opened_at + timedelta(seconds=group.escalation[0].after_seconds)

"""The sweeps of groups: tell what waited when windows end, and remind when nobody acknowledges.

A group's row is locked while its window ends, so that two processes do not write one message, and
the message's id is that of the group and its number, so that a repetition writes no second one.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channels.service import enabled_channel_names
from services.notifications.deliveries.service import add_deliveries, release_deliveries
from services.notifications.groups import repository
from services.notifications.groups.engine import (
    MAX_STORED,
    GroupingRule,
    MatchSet,
    OpenGroup,
    WaitingBatch,
    add_matches,
    end_window,
    messages,
)
from services.notifications.groups.repository import StoredGroup
from services.notifications.groups.storage import SqlGroupStore, open_group
from shared.database import PLATFORM, Database

_BATCH: Final = 50
_MOST_ROUNDS: Final = 100


def end_due_windows(database: Database) -> int:
    """End the windows that are over; how many there were."""
    ended = 0
    for _ in range(_MOST_ROUNDS):
        with database.transaction(PLATFORM) as session:
            now, groups = repository.take_due(session, _BATCH)
            names = enabled_channel_names(session) if groups else {}
            for group in groups:
                _end_window(session, group, names, now)
        ended += len(groups)
        if len(groups) < _BATCH:
            break
    return ended


def _end_window(
    session: Session, stored: StoredGroup, names: Mapping[UUID, str], now: datetime
) -> None:
    if stored.silence_id is not None:
        # Its messages exist: that of a channel which is off now waits like all others.
        names = {channel_id: names.get(channel_id, "") for channel_id in stored.channel_ids}
    group = open_group(stored, names)
    is_last = group.silence_id is not None or group.closing_reason is not None
    rows = repository.waiting_batches(session, group.id, None if is_last else group.window_ends_at)
    waiting = [WaitingBatch(row.source, row.event_at, row.match_count, row.matches) for row in rows]
    end = end_window(group, waiting, now)
    if group.silence_id is not None:
        release_deliveries(session, end.deliveries)
    else:
        add_deliveries(session, end.deliveries)
    repository.mark_told(session, [row.id for row in rows], end.window_number)
    values = {
        "window_number": end.window_number,
        "window_ends_at": end.window_ends_at,
        "match_count": end.match_count,
        "last_match_at": max((batch.event_at for batch in waiting), default=group.last_match_at),
    }
    if end.close_reason is not None:
        values |= {"closed_at": now, "close_reason": end.close_reason, "escalates_at": None}
    repository.change(session, group.id, values)
    if end.close_reason is not None and not is_last:
        _open_again(session, group, names)


def _open_again(session: Session, group: OpenGroup, names: Mapping[UUID, str]) -> None:
    """Open a group anew for what came after the end of the window that closed it."""
    rows = repository.waiting_batches(session, group.id, None)
    if not rows:
        return
    repository.delete_batches(session, [row.id for row in rows])
    rule = GroupingRule(
        id=group.rule_id,
        tenant=group.tenant,
        name=group.rule,
        channels=group.channels,
        severity=group.severity,
        update_seconds=group.update_seconds,
        max_groups=MAX_STORED,
        escalation=group.escalation,
    )
    sets = [
        MatchSet(
            rule,
            group.key,
            group.labels,
            group.subject,
            row.event_id,
            row.source,
            row.event_at,
            row.matches,
        )
        for row in rows
    ]
    add_matches(SqlGroupStore(session, names), sets)


def remind_of_groups(database: Database) -> int:
    """Take the next escalation step of groups that nobody has acknowledged; how many."""
    with database.transaction(PLATFORM) as session:
        groups = repository.take_escalating(session, _BATCH)
        names = enabled_channel_names(session) if groups else {}
        for group in groups:
            _escalate(session, group, open_group(group, names))
    return len(groups)


def _escalate(session: Session, stored: StoredGroup, group: OpenGroup) -> None:
    number = stored.escalation_step
    due = stored.escalates_at
    is_over = stored.acknowledged_at or stored.closed_at or number >= len(group.escalation)
    if due is None or is_over:
        repository.change(session, group.id, {"escalates_at": None})
        return
    step = group.escalation[number]
    recipients = replace(group, channels=step.channels)
    reason = f"nobody has acknowledged it within {step.after_seconds} seconds"
    reminders = messages(
        recipients, "reminder", group.window_number, [], due, reason, f"reminder {number + 1}"
    )
    for reminder in reminders:
        reminder["total_count"] = group.match_count
    add_deliveries(session, reminders)
    has_more = number + 1 < len(group.escalation)
    wait = timedelta(seconds=group.escalation[number + 1].after_seconds if has_more else 0)
    values = {"escalation_step": number + 1, "escalates_at": due + wait if has_more else None}
    repository.change(session, group.id, values)

"""What quiet hours held is summed up when they end: one message of each rule to each channel."""

from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.deliveries import repository
from services.notifications.deliveries.identity import delivery_id
from services.notifications.deliveries.records import Delivery, NewDelivery
from services.notifications.deliveries.results import ended_event
from services.notifications.deliveries.service import QUIET_HOURS
from services.notifications.deliveries.wakeup import wake_worker_after_commit
from shared.database import PLATFORM, Database
from shared.kafka.outbox import publish

_MOST: Final = 200
_MAX_STORED: Final = 1000
_REASON: Final = "held by quiet hours"


def release_quiet(database: Database) -> int:
    """Sum up what ended quiet hours held; the number of messages."""
    with database.transaction(PLATFORM) as session:
        places = repository.ended_quiet_hours(session, QUIET_HOURS, _MOST)
    released = 0
    for _, rule_id, channel_id in places:
        with database.transaction(PLATFORM) as session:
            released += _release(session, rule_id, channel_id)
    return released


def _release(session: Session, rule_id: UUID, channel_id: UUID) -> int:
    rows = repository.lock_held(session, rule_id, channel_id, QUIET_HOURS)
    if not rows:
        # Another process was faster.
        return 0
    wake_worker_after_commit(session)
    if len(rows) == 1:
        repository.send_held(session, rows[0][0].id, _REASON)
        return 1
    summary = _summary(rows)
    repository.add(session, [summary])
    deliveries = [delivery for delivery, _ in rows]
    repository.sum_up(session, [delivery.id for delivery in deliveries], summary["id"])
    publish(session, [ended_event(delivery, "silenced", None) for delivery in deliveries])
    return 1


def _summary(rows: list[tuple[Delivery, list[dict[str, Any]]]]) -> NewDelivery:
    first = rows[0][0]
    last = rows[-1][0]
    matches = [match for _, own in rows for match in own]
    matches.sort(key=lambda match: match.get("score", 0), reverse=True)
    sources = {delivery.source for delivery, _ in rows}
    groups = {delivery.group_id for delivery, _ in rows}
    event_id = f"held.{first.id}"
    count = sum(delivery.match_count for delivery, _ in rows)
    return {
        "id": delivery_id(first.rule_id, first.channel_id, event_id, last.event_at),
        "tenant": first.tenant,
        "rule_id": first.rule_id,
        "channel_id": first.channel_id,
        "rule": last.rule,
        "channel": last.channel,
        "event_id": event_id,
        "source": sources.pop() if len(sources) == 1 else "",
        "matches": msgspec.json.encode(matches[:_MAX_STORED]).decode(),
        "match_count": count,
        "event_at": last.event_at,
        "group_id": groups.pop() if len(groups) == 1 else None,
        "window_number": last.window_number,
        "kind": "summary",
        "total_count": count,
        "severity": last.severity,
        "labels": msgspec.json.encode({"messages": str(len(rows))}).decode(),
        "reason": f"{_REASON}: {len(rows)} messages",
        "due_at": None,
        "state": "pending",
        "held_until": None,
        "held_by": None,
        "replay_of": None,
    }

"""Replays: messages that were sent, or failed, are sent again at a person's request.

A replay is a delivery of its own, with an id of its own: the receiver takes it for a new message.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channels.service import find_channels
from services.notifications.deliveries import repository
from services.notifications.deliveries.schemas import ReplayBody, ReplayedView
from services.notifications.deliveries.wakeup import wake_worker
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.kafka.outbox import audit

_MOST: Final = 10_000


def replay_delivery(
    database: Database, principal: Principal, delivery_id: UUID, channel_id: UUID | None
) -> ReplayedView:
    """Send what a delivery told again, to its channel or another.

    Raises:
        NotFound: the tenant has no such delivery.
        InvalidInput: it has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        if repository.find(session, delivery_id) is None:
            raise NotFound(f"There is no delivery {delivery_id}.")
        view = _replay(session, principal, [delivery_id], channel_id)
    wake_worker(principal.actor)
    return view


def replay_range(database: Database, principal: Principal, body: ReplayBody) -> ReplayedView:
    """Send again what was told in a time, 10,000 messages at most, oldest first.

    Raises:
        InvalidInput: the tenant has no such channel.
    """
    conditions = {"rule_id": body.rule_id, "channel_id": body.channel_id, "state": body.state}
    narrower = {name: value for name, value in conditions.items() if value is not None}
    with database.transaction(principal.tenant) as session:
        ids = repository.list_ended(session, body.since, body.until, narrower, _MOST)
        view = _replay(session, principal, ids, body.to_channel_id)
    wake_worker(principal.actor)
    return view


def _replay(
    session: Session, principal: Principal, delivery_ids: list[UUID], channel_id: UUID | None
) -> ReplayedView:
    channel = None
    if channel_id is not None:
        target = find_channels(session, {channel_id}).get(channel_id)
        if target is None:
            raise InvalidInput(f"There is no channel {channel_id}.", field="channel_id")
        channel = target.name
    replays = [
        {
            "id": (id_ := uuid7()),
            "original": original,
            "channel_id": channel_id,
            "channel": channel,
            "event_id": f"replay.{id_}",
        }
        for original in delivery_ids
    ]
    if replays:
        repository.replay(session, replays)
        audit(
            session,
            "notifications",
            principal.tenant,
            principal.actor,
            "notifications.delivery.replay",
            delivery_ids[0],
            deliveries=str(len(replays)),
            channel=channel or "their own",
        )
    return ReplayedView(replayed=len(replays))

"""Deliveries: list and retry them for the API, add new ones for the rules."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.deliveries import repository
from services.notifications.deliveries.identity import delivery_id
from services.notifications.deliveries.records import Delivery, NewDelivery
from services.notifications.deliveries.schemas import (
    AttemptView,
    DeliveryDetail,
    DeliveryState,
    DeliveryView,
)
from services.notifications.deliveries.wakeup import wake_worker, wake_worker_after_commit
from services.notifications.quiet_hours.service import quiet_channels
from shared.auth import Principal
from shared.database import PLATFORM, Database
from shared.errors import Conflict, NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate

__all__ = [
    "QUIET_HOURS",
    "NewDelivery",
    "add_deliveries",
    "delivery_id",
    "get_delivery",
    "list_deliveries",
    "release_deliveries",
    "retry_delivery",
    "wake_if_due",
]


QUIET_HOURS: Final = "quiet hours"
"""What holds deliveries to channels in their quiet hours."""


def add_deliveries(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Store deliveries, and wake a worker for them once the transaction is committed.

    A repeated one for the same rule, channel and event changes nothing. Those to channels in their
    quiet hours are held, unless their severity passes.
    """
    if deliveries:
        _hold_by_quiet_hours(session, deliveries)
        repository.add(session, deliveries)
        wake_worker_after_commit(session)


def release_deliveries(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Let deliveries that a silence held go, with what they tell now.

    Those that are held no more stay as they are.
    """
    if deliveries:
        _hold_by_quiet_hours(session, deliveries)
        repository.release(session, deliveries)
        wake_worker_after_commit(session)


def _hold_by_quiet_hours(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    quiet = quiet_channels(session, {each["channel_id"] for each in deliveries})
    for delivery in deliveries if quiet else ():
        hours = quiet.get(delivery["channel_id"])
        if hours and delivery["state"] == "pending" and delivery["severity"] not in hours.passing:
            delivery["state"] = "held"
            delivery["held_until"] = hours.until
            delivery["held_by"] = QUIET_HOURS


def list_deliveries(
    database: Database,
    principal: Principal,
    after: str | None,
    limit: int,
    *,
    state: DeliveryState | None = None,
    rule_id: UUID | None = None,
) -> Page[DeliveryView]:
    """Deliveries, newest first."""
    position = decode_cursor(after, tuple[UUID])
    before = position[0] if position else None
    with database.transaction(principal.tenant) as session:
        deliveries = repository.list_newest(session, before, limit + 1, state, rule_id)
    page = paginate(deliveries, limit, lambda delivery: (delivery.id,))
    return page.map(DeliveryView.model_validate)


def get_delivery(database: Database, principal: Principal, delivery_id: UUID) -> DeliveryDetail:
    """A delivery with all its matches.

    Raises:
        NotFound: the tenant has no such delivery.
    """
    with database.transaction(principal.tenant) as session:
        delivery = _get(session, delivery_id)
        matches = repository.all_matches(session, delivery_id)
        attempts = repository.list_attempts(session, delivery_id)
    values = DeliveryView.model_validate(delivery).model_dump()
    return DeliveryDetail(
        **values,
        matches=matches,
        attempt_log=[AttemptView.model_validate(dict(each)) for each in attempts],
    )


def retry_delivery(database: Database, principal: Principal, delivery_id: UUID) -> DeliveryView:
    """Try a failed or waiting delivery again now, with all its attempts and the same id.

    Raises:
        NotFound: the tenant has no such delivery.
        Conflict: it was delivered, or a worker has it.
    """
    with database.transaction(principal.tenant) as session:
        delivery = _get(session, delivery_id, lock=True)
        if delivery.state not in ("failed", "pending"):
            raise Conflict(
                f"This delivery is {delivery.state}; only a failed or waiting one can be tried"
                " again."
            )
        delivery = repository.restart(session, delivery_id)
        audit(
            session,
            "notifications",
            principal.tenant,
            principal.actor,
            "notifications.delivery.retry",
            delivery.id,
        )
    wake_worker(principal.actor)
    return DeliveryView.model_validate(delivery)


def wake_if_due(database: Database, actor: str = "system") -> int:
    """Wake a worker if deliveries are due; the number of these."""
    with database.transaction(PLATFORM) as session:
        due = repository.count_due(session)
    if due:
        wake_worker(actor)
    return due


def _get(session: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery:
    delivery = repository.find(session, delivery_id, lock=lock)
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return delivery

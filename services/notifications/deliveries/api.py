"""Routes of deliveries."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.deliveries import replays, service
from services.notifications.deliveries.schemas import (
    DeliveryDetail,
    DeliveryState,
    DeliveryView,
    ReconciledView,
    ReplayBody,
    ReplayedView,
    ReplayOneBody,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission
from shared.web.audit import record_request

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
Operator = Annotated[Principal, require_permission("platform:reconcile")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1", tags=["deliveries"])


@router.get("/deliveries", response_model=PageSchema[DeliveryView])
def list_deliveries(
    principal: Reader,
    database: OwnDatabase,
    state: DeliveryState | None = None,
    rule_id: UUID | None = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[DeliveryView]:
    """Deliveries, newest first."""
    return service.list_deliveries(database, principal, after, limit, state=state, rule_id=rule_id)


@router.get("/deliveries/{delivery_id}")
def get_delivery(principal: Reader, database: OwnDatabase, delivery_id: UUID) -> DeliveryDetail:
    """One delivery with all its matches."""
    return service.get_delivery(database, principal, delivery_id)


@router.post("/deliveries/{delivery_id}/retry", status_code=202)
def retry_delivery(principal: Writer, database: OwnDatabase, delivery_id: UUID) -> DeliveryView:
    """Try a failed or waiting delivery again now."""
    return service.retry_delivery(database, principal, delivery_id)


@router.post("/deliveries/{delivery_id}/replay", status_code=202)
def replay_delivery(
    principal: Writer, database: OwnDatabase, delivery_id: UUID, body: ReplayOneBody
) -> ReplayedView:
    """Send what a delivery told again as a new message, to its channel or another."""
    return replays.replay_delivery(database, principal, delivery_id, body.channel_id)


@router.post("/deliveries/replay", status_code=202)
def replay_range(principal: Writer, database: OwnDatabase, body: ReplayBody) -> ReplayedView:
    """Send again what was told in a time, 10,000 messages at most, oldest first."""
    return replays.replay_range(database, principal, body)


@router.post("/reconcile")
def reconcile(principal: Operator, database: OwnDatabase) -> ReconciledView:
    """Enqueue again what the queue lost."""
    enqueued = service.wake_if_due(database, principal.actor)
    action = "notifications.reconcile"
    record_request(database, principal, action, "deliveries", enqueued=str(enqueued))
    return ReconciledView(enqueued=enqueued)

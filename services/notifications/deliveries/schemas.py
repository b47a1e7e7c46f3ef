"""Deliveries as the API returns them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

DeliveryState = Literal["pending", "delivering", "delivered", "failed"]


class DeliveryView(BaseModel):
    """A delivery as lists show it, without its matches."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    rule_id: UUID
    rule: str
    channel_id: UUID
    channel: str
    event_id: str
    source: str
    state: DeliveryState
    match_count: int
    attempts: int
    next_attempt_at: datetime | None
    last_error: dict[str, Any] | None
    response_status: int | None
    event_at: datetime
    created_at: datetime
    finished_at: datetime | None


class DeliveryDetail(DeliveryView):
    """A delivery with all its matches."""

    matches: list[dict[str, Any]]


class ReconciledView(BaseModel):
    """The result of a reconciliation: the number of deliveries that are due."""

    status: Literal["ok"] = "ok"
    enqueued: int

"""Beats as the API returns them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class BeatView(BaseModel):
    """A Beat's heartbeat."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    host: str
    pid: int
    started_at: datetime
    last_tick_at: datetime
    last_fired_at: datetime | None
    seconds_since_tick: float


class PendingFiringsView(BaseModel):
    """The firings that wait: Beat or a sweep sends them, nothing is enqueued here."""

    status: Literal["ok"] = "ok"
    enqueued: int = 0
    pending: int

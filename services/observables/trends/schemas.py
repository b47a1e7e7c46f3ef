"""Trends as the API shows them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

TrendKind = Literal["value", "malware", "as", "registrar"]


class Trend(BaseModel):
    """A burst of a value in several feeds, or a family, network or registrar that rises above its own baseline."""

    tenant: str
    id: UUID
    kind: TrendKind
    subject: str
    type: str | None
    value: str | None
    feeds: list[str]
    count: int
    baseline: float | None = Field(description="the mean of the windows before, of a rise")
    window_start: datetime
    window_seconds: int
    announced_at: datetime


class TrendPage(BaseModel):
    """A page of trends."""

    items: list[Trend]
    next: str | None

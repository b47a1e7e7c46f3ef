"""Trends as the API shows them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

TrendKind = Literal["value", "malware", "as", "registrar"]


class TrendView(BaseModel):
    """A burst of a value in several feeds, or a subject that rises above its baseline.

    Subjects are malware families, autonomous systems and registrars.
    """

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

    items: list[TrendView]
    next: str | None

"""Groups as the API returns them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class GroupView(BaseModel):
    """What a rule has matched that belongs together."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    rule_id: UUID
    rule: str
    state: Literal["open", "held", "collecting", "closed"] = Field(
        description="held: by a silence; collecting: for a digest."
    )
    labels: dict[str, str] = Field(description="What its matches have in common, by field.")
    severity: str
    window_number: int = Field(description="Of its last message; 0 opened it, -1: none yet.")
    window_ends_at: datetime = Field(description="When what waits is told, if it is open.")
    match_count: int = Field(description="Matches that a message tells of.")
    last_match_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    silence_id: UUID | None
    digest_id: UUID | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalates_at: datetime | None


class BatchView(BaseModel):
    """What one event brought to a group."""

    model_config = ConfigDict(from_attributes=True)

    window_number: int | None = Field(description="The message that tells of it; None: none yet.")
    event_id: str
    source: str
    event_at: datetime
    match_count: int
    matches: list[dict[str, Any]]

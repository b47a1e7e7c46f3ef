"""Messages of the inbox as the API returns them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class InboxItem(BaseModel):
    """A message."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="Of the delivery, which has all matches.")
    channel: str
    rule_id: UUID
    rule: str
    kind: str
    severity: str
    source: str
    group_id: UUID | None
    match_count: int
    total_count: int | None
    reason: str | None
    created_at: datetime
    read_at: datetime | None = Field(description="When you have read it.")


class InboxCount(BaseModel):
    """How many messages there are that you have not read, or that a request has marked."""

    count: int

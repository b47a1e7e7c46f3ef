"""Deliveries as the API returns them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

DeliveryState = Literal["pending", "delivering", "delivered", "failed", "held", "silenced"]
DeliveryPhase = Literal[
    "queued", "held", "sending", "unknown", "delivered", "retrying", "failed", "silenced"
]


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
    phase: DeliveryPhase = Field(
        description="The state in more words: queued and retrying are pending, sending is"
        " delivering; unknown: the last attempt may have been accepted."
    )
    kind: str
    group_id: UUID | None
    window_number: int = Field(description="Which of the group's messages it is; 0 opens it.")
    total_count: int | None = Field(description="Observables of the group so far.")
    severity: str
    labels: dict[str, str]
    reason: str | None
    held_until: datetime | None
    held_by: str | None
    summary_id: UUID | None = Field(description="The delivery that tells of it once it was held.")
    due_at: datetime | None
    receipt: str | None = Field(description="The receiver's name of the message.")
    is_maybe_repeated: bool = Field(
        description="The receiver may have it twice: an attempt's outcome was unknown, and the"
        " receiver can neither be asked nor recognises repeats."
    )
    replay_of: UUID | None


class AttemptView(BaseModel):
    """An attempt to deliver."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    attempted_at: datetime
    milliseconds: int
    outcome: Literal["delivered", "failed", "unknown"]
    response_status: int | None
    answer: str | None
    error: dict[str, Any] | None


class DeliveryDetail(DeliveryView):
    """A delivery with its matches, 1,000 at most of a group's, and every attempt."""

    matches: list[dict[str, Any]]
    attempt_log: list[AttemptView]


class ReplayOneBody(BaseModel):
    """Where to send a delivery again."""

    model_config = ConfigDict(extra="forbid")

    channel_id: UUID | None = Field(None, description="By default its own channel.")


class ReplayBody(BaseModel):
    """Which deliveries to send again, and where."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime
    until: AwareDatetime
    rule_id: UUID | None = None
    channel_id: UUID | None = Field(None, description="Only those through this channel.")
    state: Literal["delivered", "failed"] | None = None
    to_channel_id: UUID | None = Field(None, description="By default the channels of each.")


class ReplayedView(BaseModel):
    """How many deliveries are sent again."""

    replayed: int


class ReconciledView(BaseModel):
    """The result of a reconciliation: the number of deliveries that are due."""

    status: Literal["ok"] = "ok"
    enqueued: int

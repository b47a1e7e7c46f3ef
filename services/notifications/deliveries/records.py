"""Deliveries as the rooms hand them on: new ones, stored ones, claimed ones, and their outcomes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID


class NewDelivery(TypedDict):
    """A delivery to store; `matches` and `labels` are encoded JSON."""

    id: UUID
    tenant: str
    rule_id: UUID
    channel_id: UUID
    rule: str
    channel: str
    event_id: str
    source: str
    matches: str
    match_count: int
    event_at: datetime
    group_id: UUID | None
    window_number: int
    kind: str
    total_count: int | None
    severity: str
    labels: str
    reason: str | None
    due_at: datetime | None
    state: str
    held_until: datetime | None
    held_by: str | None
    replay_of: UUID | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery.

    Attributes:
        rule, channel: names at the time of the match.
        event_at: when the change was published.
        next_attempt_at: None while a worker has it, and at its end.
        last_error: the reason of the last failed attempt.
        finished_at: when it was delivered, or failed for good.
        holder: the claim that a worker has on it.
        lease_until: when another worker may claim it.
        group_id: None for an event by itself, and for a digest.
        window_number: which of the group's messages it is; 0 opens the group.
        kind: see `NotificationKind`.
        total_count: observables of the group so far.
        held_until, held_by: until when, and by what, it is or was held.
        summary_id: the delivery that tells of it, because it was held.
        receipt: the receiver's name of the message.
        is_outcome_unknown: the last attempt may have been accepted.
        is_maybe_repeated: the receiver may have it twice.
        replay_of: the delivery that it repeats at a person's request.
    """

    id: UUID
    tenant: str
    rule_id: UUID
    channel_id: UUID
    rule: str
    channel: str
    event_id: str
    source: str
    state: str
    match_count: int
    attempts: int
    next_attempt_at: datetime | None
    last_error: dict[str, Any] | None
    response_status: int | None
    event_at: datetime
    created_at: datetime
    finished_at: datetime | None
    holder: UUID | None
    lease_until: datetime | None
    group_id: UUID | None
    window_number: int
    kind: str
    total_count: int | None
    severity: str
    held_until: datetime | None
    held_by: str | None
    summary_id: UUID | None
    labels: dict[str, str]
    reason: str | None
    due_at: datetime | None
    receipt: str | None
    is_outcome_unknown: bool
    is_maybe_repeated: bool
    replay_of: UUID | None

    @property
    def phase(self) -> str:
        """Where it is on its way, in the words of the ledger."""
        if self.state == "delivering":
            return "sending"
        if self.state != "pending":
            return self.state
        if self.is_outcome_unknown:
            return "unknown"
        return "retrying" if self.attempts else "queued"


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that a worker has, and its claim."""

    delivery: Delivery
    holder: UUID


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What an attempt leaves in the delivery's row.

    Attributes:
        status: the receiver's status, if the protocol has one.
        receipt: the receiver's name of the message.
        is_unknown: it may have been accepted although there is an error.
        is_maybe_repeated: the receiver may have it twice.
    """

    status: int | None = None
    receipt: str | None = None
    is_unknown: bool = False
    is_maybe_repeated: bool = False

"""What the notifications service says."""

from typing import Literal
from uuid import UUID

import msgspec

from shared.events.envelope import Topic


class Delivered(msgspec.Struct, omit_defaults=True):
    """A delivery came to its end.

    Attributes:
        state: delivered; failed for good; silenced by a rule.
        matches: observables it was about.
        attempts: how often it was tried.
        error: code and message, when it failed.
    """

    delivery_id: UUID
    rule_id: UUID
    rule: str
    channel: str
    state: Literal["delivered", "failed", "silenced"]
    matches: int
    attempts: int
    error: dict[str, str] | None = None


DELIVERED = Topic(
    "notifications.delivered.v1",
    Delivered,
    "A delivery succeeded, failed for good, or was silenced.",
    "rule",
)

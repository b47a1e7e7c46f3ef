"""Events of the notifications service."""

from typing import Literal
from uuid import UUID

import msgspec

from shared.events.envelope import Topic


class Delivered(msgspec.Struct, omit_defaults=True):
    """A delivery ended.

    Attributes:
        state: delivered, failed for good, or silenced by a rule.
        matches: the number of observables in it.
        attempts: the number of attempts.
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

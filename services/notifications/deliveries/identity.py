"""The ids of deliveries: derived, so that a repeated notification repeats its `webhook-id`."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

_VERSION: Final = 7
_VARIANT: Final = 0b10


def delivery_id(rule_id: UUID, channel_id: UUID, event_id: str, event_at: datetime) -> UUID:
    """The id of a rule's delivery of an event to a channel.

    It is a UUIDv7 (RFC 9562 §5.7), so that ids are in the order of events; its random bits are a
    digest. A database that was restored gives a delivery the same id again, by which the receiver
    recognises it.

    Args:
        rule_id: the rule.
        channel_id: the channel.
        event_id: the event's id.
        event_at: when the event was published.
    """
    milliseconds = max(0, int(event_at.astimezone(UTC).timestamp() * 1000)) & (2**48 - 1)
    digest = sha256(f"{rule_id} {channel_id} {event_id}".encode()).digest()
    head = int.from_bytes(digest[:2]) & (2**12 - 1)
    tail = int.from_bytes(digest[2:10]) & (2**62 - 1)
    return UUID(int=milliseconds << 80 | _VERSION << 76 | head << 64 | _VARIANT << 62 | tail)

"""When a provider is visited: at times that differ between installations."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID


def next_time(key: bytes, feed: UUID, every: int, now: datetime) -> datetime:
    """The feed's next turn after now.

    Each installation has times of its own, made from its key: a thousand installations with the
    same hourly feed spread over the hour, and each keeps to its minute.

    Args:
        key: the service's for `FEED_TIMES`.
        feed: the feed's id.
        every: its cadence in seconds.
        now: a time with a zone.
    """
    digest = hashlib.sha256(key + feed.bytes).digest()
    phase = int.from_bytes(digest[:8]) % every
    turns = (int(now.timestamp()) - phase) // every + 1
    return datetime.fromtimestamp(turns * every + phase, UTC)

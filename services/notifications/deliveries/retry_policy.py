"""The times at which a failed delivery is tried again."""

import random
from typing import Final

from shared.errors import SentinelIQError

WAITS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0)
"""Seconds between attempts, before jitter: eight attempts within about eight hours."""

MAX_ATTEMPTS: Final = len(WAITS) + 1
MAX_WAIT: Final = 86_400.0
"""Seconds that a receiver may ask for."""


def seconds_to_retry(error: SentinelIQError, attempts: int) -> float | None:
    """Seconds until the next attempt; None if there is none.

    Args:
        error: the reason of the last failure.
        attempts: number of attempts so far.
    """
    if not error.retryable or attempts >= MAX_ATTEMPTS:
        return None
    jitter = random.uniform(0.8, 1.2)  # noqa: S311  # no secret depends on it
    wait = WAITS[max(attempts, 1) - 1] * jitter
    return min(max(wait, error.retry_after or 0.0), MAX_WAIT)

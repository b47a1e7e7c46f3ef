"""When work that failed is tried again.

A process keeps this in memory: it saves effort and decides nothing, and a process that starts anew
tries everything at once.
"""

import threading
import time
from collections.abc import Hashable
from typing import Final

_FIRST_SECONDS: Final = 2.0
_MAX_SECONDS: Final = 300.0
_MAX_FAILURES: Final = 10_000
"""Keys that are kept; beyond, all are forgotten."""


class RetrySchedule:
    """Keeps work back that failed: for 2 seconds, twice as long after each further failure.

    At most five minutes pass between two attempts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By key: how often it has failed, and from when on it is due again.
        self._failures: dict[Hashable, tuple[int, float]] = {}

    def is_due(self, key: Hashable) -> bool:
        """Whether work may be tried now."""
        with self._lock:
            _, due_at = self._failures.get(key, (0, 0.0))
        return time.monotonic() >= due_at

    def note_failure(self, key: Hashable) -> float:
        """Note that work has failed; in how many seconds it is due again."""
        with self._lock:
            if len(self._failures) >= _MAX_FAILURES:
                self._failures.clear()
            count, _ = self._failures.get(key, (0, 0.0))
            seconds: float = min(_FIRST_SECONDS * 2.0**count, _MAX_SECONDS)
            self._failures[key] = (min(count + 1, 20), time.monotonic() + seconds)
        return seconds

    def note_success(self, key: Hashable) -> None:
        """Note that work is done: a later failure counts as the first."""
        with self._lock:
            self._failures.pop(key, None)

"""When too much is poisoned, the fault is ours: stop instead of burying good records.

The rule is Sentry's (arroyo, "Dead letter queues"): a limit on the share of recent records that may go to the
dead-letter topic.
"""

from collections import deque

from shared.events import ConsumedRecord


class DlqLimitExceeded(Exception):
    """More than the allowed share of recent records could not be handled; a person has to look."""


class DlqLimit:
    """Counts dead letters among the most recent records of a partition range.

    Args:
        window: how many offsets back it looks, per partition.
        share: the share of them that may be dead.
        floor: dead letters that are always allowed.
    """

    def __init__(self, window: int = 1000, share: float = 0.1, floor: int = 100) -> None:
        self._window = window
        self._limit = max(floor, int(window * share))
        self._dead: dict[tuple[str, int], deque[int]] = {}

    def count(self, record: ConsumedRecord, reason: Exception) -> None:
        """Count one more.

        Raises:
            DlqLimitExceeded: it is one too many.
        """
        offsets = self._dead.setdefault((record.topic, record.partition), deque())
        if not offsets or offsets[-1] < record.offset:
            offsets.append(record.offset)
        while offsets[0] <= record.offset - self._window:
            offsets.popleft()
        if len(offsets) > self._limit:
            raise DlqLimitExceeded(
                f"{len(offsets)} of the last {self._window} records of {record.topic}/{record.partition} cannot be "
                f"handled (last: {reason}). The consumer stops here; nothing was lost. Mend the cause and restart it."
            )

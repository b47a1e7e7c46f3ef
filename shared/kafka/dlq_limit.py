"""A limit on dead letters: when too many records fail, the handler is broken, not the records.

The rule is that of arroyo (Sentry), "Dead letter queues": a limit on the share of recent records
that may go to the dead-letter topic.
"""

from collections import deque

from shared.events import ConsumedRecord


class DlqLimitExceeded(Exception):
    """More than the allowed share of recent records failed; an operator has to find the cause."""


class DlqLimit:
    """Counts dead letters among the most recent records of each partition.

    Args:
        window: the number of recent offsets.
        share: the share of them that may be dead letters.
        floor: the number of dead letters that is always allowed.
    """

    def __init__(self, window: int = 1000, share: float = 0.1, floor: int = 100) -> None:
        self._window = window
        self._limit = max(floor, int(window * share))
        self._dead: dict[tuple[str, int], deque[int]] = {}

    def count(self, record: ConsumedRecord, reason: Exception) -> None:
        """Count a dead letter.

        Raises:
            DlqLimitExceeded: there are too many.
        """
        offsets = self._dead.setdefault((record.topic, record.partition), deque())
        if not offsets or offsets[-1] < record.offset:
            offsets.append(record.offset)
        while offsets[0] <= record.offset - self._window:
            offsets.popleft()
        if len(offsets) > self._limit:
            raise DlqLimitExceeded(
                f"{len(offsets)} of the last {self._window} records of "
                f"{record.topic}/{record.partition} cannot be handled (last: {reason}). "
                "The consumer stops here; nothing was lost. Mend the cause and restart it."
            )

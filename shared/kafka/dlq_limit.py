"""A limit on dead letters: when too many records fail, the handler is broken, not the records.

The rule is that of arroyo (Sentry), "Dead letter queues": a limit on the share of recent records
that may go to the dead-letter topic. The count is stored with the partition's offset, so that it
outlasts a restart.
"""

from collections.abc import Sequence
from typing import Final

from shared.events import ConsumedRecord

_WINDOW: Final = 1000
_SHARE: Final = 0.1
_FLOOR: Final = 100


class DlqLimitExceeded(Exception):
    """More than the allowed share of recent records failed; an operator has to find the cause."""


NO_DEAD_LETTERS: Final = 0.0
"""The share for code that has halted the partition before: its first dead letter halts it again."""


class DlqLimit:
    """Counts dead letters among the most recent records of one partition.

    Args:
        dead_offsets: the offsets of earlier dead letters, oldest first.
        allowance: dead letters beyond the limit that a person has allowed.
        window: the number of recent offsets.
        share: the share of them that may be dead letters; 0 allows none.
        floor: the number of dead letters that a share above 0 always allows.

    Attributes:
        dead_offsets: those within the window.
        allowance: what is left of it.
    """

    def __init__(
        self,
        dead_offsets: Sequence[int] = (),
        allowance: int = 0,
        *,
        window: int = _WINDOW,
        share: float = _SHARE,
        floor: int = _FLOOR,
    ) -> None:
        self._window = window
        self._limit = max(floor, int(window * share)) if share else 0
        self.dead_offsets = list(dead_offsets)
        self.allowance = allowance

    def count(self, record: ConsumedRecord, reason: Exception) -> None:
        """Count a dead letter.

        Raises:
            DlqLimitExceeded: there are too many.
        """
        oldest = record.offset - self._window
        self.dead_offsets = [offset for offset in self.dead_offsets if offset > oldest]
        if len(self.dead_offsets) < self._limit:
            self.dead_offsets.append(record.offset)
        elif self.allowance > 0:
            self.allowance -= 1
        else:
            count = f"More than {self._limit}" if self._limit else "Again records"
            raise DlqLimitExceeded(
                f"{count} of the last {self._window} records of "
                f"{record.topic}/{record.partition} cannot be handled (last: {str(reason)[:500]}). "
                "The partition is halted here; nothing was lost."
            )

    def spend_allowance(self) -> None:
        """Count a dead letter that only a person's allowance makes one."""
        self.allowance -= 1

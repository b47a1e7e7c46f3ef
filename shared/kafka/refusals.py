"""Records that are passed over, since nobody who may send them has signed them.

Whoever reaches the log may write anything, as often as they like: the consumer goes on past it. The
first records of a flood become dead letters; the others are counted, and stay in the log for as
long as it keeps records. One entry of the audit tells of a whole flood.
"""

from dataclasses import dataclass
from typing import Final

from shared.events import ConsumedRecord

MAX_LETTERS: Final = 100
"""Dead letters between two entries of the audit, for each partition."""
REPORT_SECONDS: Final = 60
"""At least so much time lies between two entries about one partition."""

_REASON_LENGTH: Final = 500


@dataclass(slots=True)
class Refusals:
    """The records of a partition that were passed over since the audit last told of some.

    Attributes:
        count: how many.
        first: the offset of the first one.
        last: the offset of the last one.
        reason: why the last one was refused.
    """

    count: int = 0
    first: int = -1
    last: int = -1
    reason: str = ""

    def add(self, record: ConsumedRecord, reason: str) -> bool:
        """Count a record; return whether it becomes a dead letter."""
        if not self.count:
            self.first = record.offset
        self.count += 1
        self.last = record.offset
        self.reason = reason[:_REASON_LENGTH].replace("\0", "")
        return self.count <= MAX_LETTERS

    def details(self) -> dict[str, str]:
        """What the audit tells of them."""
        return {
            "count": str(self.count),
            "dead_letters": str(min(self.count, MAX_LETTERS)),
            "offsets": f"{self.first} to {self.last}",
            "reason": self.reason,
        }

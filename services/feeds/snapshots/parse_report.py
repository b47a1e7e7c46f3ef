"""Side results of parsing: items left out, and decisions of the format."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.feeds.formats.base import DroppedItem

MAX_EXAMPLES: Final = 20


@dataclass
class ParseReport:
    """The side results of reading a document.

    Attributes:
        named: how often observables are named; more than are listed when some are named twice.
        dropped: counts of the items that were left out, by reason.
        examples: the first of these items, with their place.
        notes: decisions of the format, such as which column it read.
    """

    named: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[DroppedItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count_dropped(self, items: Iterable[DroppedItem]) -> None:
        """Count what a format left out; the first items become examples."""
        for item in items:
            self.dropped[item.reason] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(item)

    def count_repeated(self, listed: int) -> None:
        """Count as duplicates what was named more often than once."""
        if repeated := self.named - listed:
            self.dropped["duplicate"] += repeated

    def restart(self) -> None:
        """Forget what was counted: the document is read again in another way."""
        self.dropped = Counter()
        self.examples = []
        self.notes = []

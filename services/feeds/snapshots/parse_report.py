"""Side results of parsing: items left out, and decisions of the format."""

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.feeds.formats.base import DroppedItem
from services.feeds.formats.unit_account import UnitAccount

MAX_EXAMPLES: Final = 20


class ParseSummary(msgspec.Struct, array_like=True):
    """A `ParseReport` as it is sent from one process to another."""

    named: int
    dropped: dict[str, int]
    examples: list[DroppedItem]
    notes: list[str]
    account: UnitAccount | None


@dataclass
class ParseReport:
    """The side results of reading a document.

    Attributes:
        named: indicators that the documents gave. Each is listed, a duplicate of one that is, taken
            back by the source, or too large.
        dropped: counts of the items that were left out, by reason.
        examples: the first of these items, with their place.
        notes: decisions of the format, such as which column it read.
        account: what became of the units of the document; None before a format has counted some.
    """

    named: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[DroppedItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    account: UnitAccount | None = None

    def count_dropped(self, items: Iterable[DroppedItem]) -> None:
        """Count what a format left out; the first items become examples."""
        for item in items:
            self.dropped[item.reason] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(item)

    def count_units(self, account: UnitAccount | None) -> None:
        """Add what became of further units."""
        if account is None:
            return
        if self.account is None:
            self.account = UnitAccount(account.unit)
        self.account.add(account)

    def count_retracted(self, indicators: int) -> None:
        """Count indicators that the source takes back."""
        if indicators:
            self.dropped["taken back by the source"] += indicators

    def count_repeated(self, repeated: int) -> None:
        """Count as duplicates what was named more often than once."""
        if repeated:
            self.dropped["duplicate"] += repeated

    def summary(self) -> ParseSummary:
        """What is counted by now."""
        return ParseSummary(self.named, dict(self.dropped), self.examples, self.notes, self.account)

    def add(self, summary: ParseSummary) -> None:
        """Add what another report has counted."""
        self.named += summary.named
        self.dropped.update(summary.dropped)
        self.examples += summary.examples[: MAX_EXAMPLES - len(self.examples)]
        self.notes += summary.notes
        self.count_units(summary.account)

    def state(self) -> "ParseReport":
        """What is counted by now, to come back to by `restart`."""
        return ParseReport(
            self.named,
            self.dropped.copy(),
            self.examples.copy(),
            self.notes.copy(),
            deepcopy(self.account),
        )

    def restart(self, state: "ParseReport") -> None:
        """Forget what was counted since `state`: the document is read again in another way."""
        self.named = state.named
        self.dropped = state.dropped
        self.examples = state.examples
        self.notes = state.notes
        self.account = state.account

"""What became of the units of a document: lines, rows, items, objects, attributes or mentions.

    units in = units that were read + units that were left out + units that are context

Each format counts one sort of unit and counts each unit once: as read if it gives an indicator,
else by the reason of the first item that it drops, else as context by its kind. A unit that is
read in part counts as read; what was dropped of it is among the dropped items.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

NO_OBSERVABLE: Final = "no observable"
"""The kind of context whose format says no more about it."""

_CONTEXT_REASONS: Final = frozenset({"context", "not an indicator", "observed", "older version"})
"""Reasons of dropped items that say what a unit is, and that nothing is wrong with it."""


class UnitAccount(msgspec.Struct):
    """Counts of the units of a document, or of a part of it.

    Attributes:
        unit: the sort of unit that the format counts, such as "line".
        total: units of the document, counted where the document is divided into them.
        read: units that gave at least one indicator.
        left_out: units that should have given one, by reason.
        context: units that are not meant to give one, by kind, such as "comment".
    """

    unit: str
    total: int = 0
    read: int = 0
    left_out: dict[str, int] = {}
    context: dict[str, int] = {}

    @property
    def unaccounted(self) -> int:
        """Units of which nothing is told; always 0 unless a format is wrong."""
        accounted = self.read + sum(self.left_out.values()) + sum(self.context.values())
        return self.total - accounted

    def count(self, reason: str | None, units: int = 1) -> None:
        """Count units that gave no indicator.

        Args:
            reason: of the first item that was dropped of them, if there is one.
            units: their number.
        """
        if reason is None:
            self.count_context(NO_OBSERVABLE, units)
        elif reason in _CONTEXT_REASONS:
            self.count_context(reason, units)
        else:
            self.left_out[reason] = self.left_out.get(reason, 0) + units

    def count_context(self, kind: str, units: int = 1) -> None:
        """Count units that are context."""
        if units:
            self.context[kind] = self.context.get(kind, 0) + units

    def add(self, other: "UnitAccount") -> None:
        """Add the counts of another part, or of another document of the feed."""
        if self.unit != other.unit:
            self.unit = "unit"  # a feed may have documents of several formats
        self.total += other.total
        self.read += other.read
        for reason, units in other.left_out.items():
            self.left_out[reason] = self.left_out.get(reason, 0) + units
        for kind, units in other.context.items():
            self.count_context(kind, units)


def account_of_lines(
    total: int,
    lines: Sequence[int],
    reasons: Sequence[tuple[int, str]],
    context: Mapping[str, int],
) -> UnitAccount:
    """The account of some lines that were read independently.

    Args:
        total: their number.
        lines: the line of each indicator.
        reasons: the line and the reason of each dropped item.
        context: the lines that are context, by kind.
    """
    account = UnitAccount("line", total)
    read = set(lines)
    account.read = len(read)
    unread: dict[int, str] = {}
    for at, reason in reasons:
        if at not in read:
            unread.setdefault(at, reason)
    for reason in unread.values():
        account.count(reason)
    for kind, units in context.items():
        account.count_context(kind, units)
    return account

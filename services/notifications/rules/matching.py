"""Which rules a chunk of changes concerns, and which of its changes: plain functions, no I/O.

A rule with a least score matches what crosses it: new at or above it, or risen to it from below. A rule without one
matches what is new. What expired matches only rules that ask for it; with a least score, if it had reached that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from shared.database import PUBLIC
from shared.events.observables import Change, ChangeKind

Occasion = ChangeKind | Literal["health"]
"""What a rule may speak up about."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """A rule as matching needs it; an empty set means any.

    Attributes:
        on: kinds of change; `health` for feeds that are doing better or worse.
        types: observable types.
        min_score: 1 to 100.
        sources: names of feeds.
        tags: any of these.
    """

    rule_id: UUID
    tenant: str
    rule: str
    on: frozenset[Occasion]
    types: frozenset[str] = frozenset()
    min_score: int | None = None
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


_Group = tuple[str, ChangeKind]
_MOST_SOURCES: Final = 10_000


class RuleSet:
    """Rules, prepared once to be matched against many chunks.

    A chunk is cut into groups of one type and kind first, so that types and kinds are compared once per group, not
    once per change, and a rule costs a single pass over the groups it wants.
    """

    def __init__(self, rules: Iterable[Conditions]) -> None:
        self._rules = tuple(rules)
        self._by_source: dict[tuple[str, str], tuple[Conditions, ...]] = {}

    def match(
        self, tenant: str, source: str, changes: Sequence[Change]
    ) -> list[tuple[Conditions, list[Change]]]:
        """Rules that have something to say about these changes, each with the changes it is about.

        Args:
            tenant: whose event it is; an event of `public` concerns everybody's rules.
            source: name of the feed that caused the changes.
            changes: up to a chunk of them.
        """
        rules = self._concerned(tenant, source)
        if not rules:
            return []
        groups: dict[_Group, list[Change]] = {}
        for change in changes:
            key = (change.type, change.kind)
            try:
                groups[key].append(change)
            except KeyError:
                groups[key] = [change]
        matched = ((rule, _matches(rule, groups)) for rule in rules)
        return [(rule, found) for rule, found in matched if found]

    def watching(self, tenant: str, source: str) -> list[Conditions]:
        """Rules that want to know how a feed is doing."""
        return [rule for rule in self._concerned(tenant, source) if "health" in rule.on]

    def _concerned(self, tenant: str, source: str) -> tuple[Conditions, ...]:
        key = (tenant, source)
        rules = self._by_source.get(key)
        if rules is None:
            if len(self._by_source) >= _MOST_SOURCES:
                self._by_source.clear()
            rules = self._by_source[key] = tuple(
                rule
                for rule in self._rules
                if tenant in (PUBLIC, rule.tenant) and (not rule.sources or source in rule.sources)
            )
        return rules


def _matches(rule: Conditions, groups: dict[_Group, list[Change]]) -> list[Change]:
    found: list[Change] = []
    for (type_, kind), group in groups.items():
        if kind in rule.on and (not rule.types or type_ in rule.types):
            found += _select(rule, kind, group)
    return found


def _select(rule: Conditions, kind: ChangeKind, group: list[Change]) -> list[Change]:
    """The changes of one kind that a rule is about, its wanted kinds and types being checked already."""
    least, tags = rule.min_score, rule.tags
    if least is None:
        chosen = [] if kind == "changed" else group
    elif kind == "new":
        chosen = [change for change in group if change.score >= least]
    elif kind == "changed":
        chosen = [change for change in group if (change.score_before or 0) < least <= change.score]
    else:
        chosen = [
            change for change in group if least <= max(change.score, change.score_before or 0)
        ]
    return [change for change in chosen if not tags.isdisjoint(change.tags)] if tags else chosen

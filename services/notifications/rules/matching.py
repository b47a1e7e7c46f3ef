"""Rules against chunks of changes, as plain functions without I/O.

A rule with a minimum score matches changes that cross it: new at or above it, or risen to it from
below. A rule without one matches what is new. Only rules with `expired` match what expired; with a
minimum score they match what had reached it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from shared.database import PUBLIC
from shared.events.observables import Change, ChangeKind

Occasion = ChangeKind | Literal["health"]
"""What may cause a notification: a kind of change, or a change of a feed's health."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a rule; an empty set means any.

    Attributes:
        rule: the rule's name.
        on: kinds of change; `health` for the health of feeds.
        types: observable types.
        min_score: 1 to 100.
        sources: names of feeds.
        tags: one of them must be there.
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
"""Type and kind of change."""

_MAX_CACHED_SOURCES: Final = 10_000


class RuleSet:
    """Rules that are prepared once and matched against many chunks.

    A chunk is first divided into groups of one type and kind, so that a rule compares types and
    kinds once for each group, not for each change.
    """

    def __init__(self, rules: Iterable[Conditions]) -> None:
        self._rules = tuple(rules)
        self._by_source: dict[tuple[str, str], tuple[Conditions, ...]] = {}

    def match(
        self, tenant: str, source: str, changes: Sequence[Change]
    ) -> list[tuple[Conditions, list[Change]]]:
        """The rules that match, each with the changes that it matches.

        Args:
            tenant: the event's tenant; events of `public` concern all tenants' rules.
            source: name of the feed that caused the changes.
            changes: at most a chunk.
        """
        rules = self._concerned_rules(tenant, source)
        if not rules:
            return []
        groups: dict[_Group, list[Change]] = {}
        for change in changes:
            key = (change.type, change.kind)
            try:
                groups[key].append(change)
            except KeyError:
                groups[key] = [change]
        return [(rule, matches) for rule in rules if (matches := _matches(rule, groups))]

    def watching_health(self, tenant: str, source: str) -> list[Conditions]:
        """The rules that notify of a feed's health."""
        return [rule for rule in self._concerned_rules(tenant, source) if "health" in rule.on]

    def _concerned_rules(self, tenant: str, source: str) -> tuple[Conditions, ...]:
        key = (tenant, source)
        rules = self._by_source.get(key)
        if rules is None:
            if len(self._by_source) >= _MAX_CACHED_SOURCES:
                self._by_source.clear()
            rules = self._by_source[key] = tuple(
                rule
                for rule in self._rules
                if tenant in (PUBLIC, rule.tenant) and (not rule.sources or source in rule.sources)
            )
        return rules


def _matches(rule: Conditions, groups: dict[_Group, list[Change]]) -> list[Change]:
    matches: list[Change] = []
    for (type_, kind), group in groups.items():
        if kind in rule.on and (not rule.types or type_ in rule.types):
            matches += _select(rule, kind, group)
    return matches


def _select(rule: Conditions, kind: ChangeKind, group: list[Change]) -> list[Change]:
    """The changes of a group that match a rule whose kinds and types match the group."""
    minimum = rule.min_score
    if minimum is None:
        selected = [] if kind == "changed" else group
    elif kind == "new":
        selected = [change for change in group if change.score >= minimum]
    elif kind == "changed":
        selected = [
            change for change in group if (change.score_before or 0) < minimum <= change.score
        ]
    else:
        selected = [
            change for change in group if minimum <= max(change.score, change.score_before or 0)
        ]
    if not rule.tags:
        return selected
    return [change for change in selected if not rule.tags.isdisjoint(change.tags)]

"""Rules against chunks of changes, as plain functions without I/O.

A rule with a minimum score matches changes that cross it: new at or above it, or risen to it from
below. A rule without one matches what is new, and, if it has a filter, what has changed. Only rules
with `expired` match what expired; with a minimum score they match what had reached it. A filter has
to match as well.

Rules are indexed by what they require, whether a condition or the filter says so: the source, the
type and the kind of change decide once for a group of changes, a tag or a value decides by one
look into a table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from services.notifications.rules.expression import rule_expression
from services.notifications.topics import OBSERVABLES
from shared.database import PUBLIC
from shared.events.observables import Change, ChangeKind
from shared.filters.filter import FilterExpression
from shared.filters.matcher import Watchlist
from shared.filters.requirements import UNDER
from shared.filters.text_tests import domains_above

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
        filter: an expression that has to match, too; empty for none.
        topic: what it is about; `RuleSet` is for rules about observables.
    """

    rule_id: UUID
    tenant: str
    rule: str
    on: frozenset[Occasion]
    types: frozenset[str] = frozenset()
    min_score: int | None = None
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    filter: str = ""
    topic: str = OBSERVABLES


@dataclass(frozen=True, slots=True)
class ChangeEnvironment:
    """What all changes of an event have in common.

    Attributes:
        source: name of the feed that caused them.
    """

    source: str
    now: datetime
    watchlists: Mapping[str, Watchlist] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _IndexedRule:
    """A rule with its whole condition, and what that requires; None means anything.

    Attributes:
        kinds: of change; a rule names all that it is about.
    """

    rule: Conditions
    expression: FilterExpression
    sources: frozenset[object] | None
    types: frozenset[object] | None
    kinds: frozenset[object]
    tags: frozenset[object] | None
    values: frozenset[object] | None
    domains: frozenset[object] | None

    def concerns(self, source: str, tenant: str) -> bool:
        """Whether it may match an event; events of `public` concern all tenants' rules."""
        is_visible = tenant in (PUBLIC, self.rule.tenant)
        return is_visible and (self.sources is None or source in self.sources)


_Matches = dict[UUID, tuple[Conditions, list[Change]]]


class _GroupIndex:
    """The rules that may match changes of one source, type and kind."""

    def __init__(self, rules: Iterable[_IndexedRule]) -> None:
        self._by_value: dict[object, list[_IndexedRule]] = {}
        self._by_domain: dict[object, list[_IndexedRule]] = {}
        self._by_tag: dict[object, list[_IndexedRule]] = {}
        self._others: list[_IndexedRule] = []
        for rule in rules:
            if rule.values is not None:
                _enter(self._by_value, rule.values, rule)
            elif rule.domains is not None:
                _enter(self._by_domain, rule.domains, rule)
            elif rule.tags is not None:
                _enter(self._by_tag, rule.tags, rule)
            else:
                self._others.append(rule)

    def match(
        self, changes: list[Change], environment: ChangeEnvironment, matches: _Matches
    ) -> None:
        """Enter the rules that match some of the changes, with these."""
        if self._by_value:
            values = ((change.value,) for change in changes)
            _match_keys(self._by_value, values, changes, environment, matches)
        if self._by_domain:
            domains = (domains_above(change.value) for change in changes)
            _match_keys(self._by_domain, domains, changes, environment, matches)
        if self._by_tag:
            tags = (change.tags for change in changes)
            _match_keys(self._by_tag, tags, changes, environment, matches)
        for rule in self._others:
            selected = rule.expression.selector(changes, environment)
            if selected:
                matches.setdefault(rule.rule.rule_id, (rule.rule, []))[1].extend(selected)


_MAX_CACHED_GROUPS: Final = 50_000
_MAX_CACHED_SOURCES: Final = 10_000


class RuleSet:
    """Rules that are prepared once and matched against many chunks."""

    def __init__(self, rules: Iterable[Conditions]) -> None:
        self._rules = tuple(_indexed(rule) for rule in rules)
        self._by_source: dict[tuple[str, str], tuple[_IndexedRule, ...]] = {}
        self._by_group: dict[tuple[str, str, str, str], _GroupIndex] = {}

    def match(
        self,
        tenant: str,
        source: str,
        changes: Sequence[Change],
        watchlists: Mapping[str, Watchlist] | None = None,
    ) -> list[tuple[Conditions, list[Change]]]:
        """The rules that match, each with the changes that it matches.

        Args:
            tenant: the event's tenant; events of `public` concern all tenants' rules.
            source: name of the feed that caused the changes.
            changes: at most a chunk.
            watchlists: those that filters refer to, as `tenant/name`.
        """
        if not self._concerned_rules(tenant, source):
            return []
        environment = ChangeEnvironment(source, datetime.now(UTC), watchlists or {})
        groups: dict[tuple[str, ChangeKind], list[Change]] = {}
        for change in changes:
            groups.setdefault((change.type, change.kind), []).append(change)
        matches: _Matches = {}
        for (type_, kind), group in groups.items():
            self._group_index(tenant, source, type_, kind).match(group, environment, matches)
        return list(matches.values())

    @property
    def watchlists(self) -> frozenset[str]:
        """Names of the watchlists that the rules refer to, as `tenant/name`."""
        names = [rule.expression.watchlists for rule in self._rules]
        return frozenset().union(*names)

    def watching_health(self, tenant: str, source: str) -> list[Conditions]:
        """The rules that notify of a feed's health."""
        rules = self._concerned_rules(tenant, source)
        return [each.rule for each in rules if "health" in each.rule.on]

    def _concerned_rules(self, tenant: str, source: str) -> tuple[_IndexedRule, ...]:
        key = (tenant, source)
        rules = self._by_source.get(key)
        if rules is None:
            if len(self._by_source) >= _MAX_CACHED_SOURCES:
                self._by_source.clear()
            rules = tuple(rule for rule in self._rules if rule.concerns(source, tenant))
            self._by_source[key] = rules
        return rules

    def _group_index(self, tenant: str, source: str, type_: str, kind: str) -> _GroupIndex:
        key = (tenant, source, type_, kind)
        index = self._by_group.get(key)
        if index is None:
            if len(self._by_group) >= _MAX_CACHED_GROUPS:
                self._by_group.clear()
            index = self._by_group[key] = _GroupIndex(
                rule
                for rule in self._concerned_rules(tenant, source)
                if (rule.types is None or type_ in rule.types) and kind in rule.kinds
            )
        return index


def _indexed(rule: Conditions) -> _IndexedRule:
    expression = rule_expression(
        rule.on,
        rule.types,
        rule.min_score,
        rule.sources,
        rule.tags,
        rule.filter,
        rule.tenant if "watchlist" in rule.filter else "",
    )
    required = expression.requirements
    return _IndexedRule(
        rule,
        expression,
        sources=required.get("source.name"),
        types=required.get("observable.type"),
        kinds=required.get("change.kind", frozenset()),
        tags=required.get("observable.tags"),
        values=required.get("observable.value"),
        domains=required.get(f"observable.value{UNDER}"),
    )


def _enter(
    index: dict[object, list[_IndexedRule]], keys: frozenset[object], rule: _IndexedRule
) -> None:
    for key in keys:
        index.setdefault(key, []).append(rule)


def _match_keys(
    index: dict[object, list[_IndexedRule]],
    keys: Iterable[Sequence[object]],
    changes: list[Change],
    environment: ChangeEnvironment,
    matches: _Matches,
) -> None:
    """Try on each change the rules that its keys name."""
    for change, own_keys in zip(changes, keys, strict=True):
        for key in own_keys:
            for rule in index.get(key, ()):
                if rule.expression.matcher(change, environment):
                    _, selected = matches.setdefault(rule.rule.rule_id, (rule.rule, []))
                    # Two of a change's tags may name one rule.
                    if not selected or selected[-1] is not change:
                        selected.append(change)

"""The rules as the handlers and dry runs use them, read from their tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channels.service import enabled_channel_names
from services.notifications.groups.engine import EscalationStep, GroupingRule
from services.notifications.inhibitions.activity import PlannedInhibition
from services.notifications.inhibitions.service import planned_inhibitions
from services.notifications.rules import repository
from services.notifications.rules.expression import topic_expression
from services.notifications.rules.matching import Conditions, Occasion, RuleSet
from services.notifications.rules.repository import Rule
from services.notifications.rules.routing import RuleBook
from services.notifications.silences.activity import PlannedSilence
from services.notifications.silences.service import planned_silences
from services.notifications.topics import OBSERVABLES
from services.notifications.watchlists.service import WatchlistCache
from shared.filters.filter import FilterExpression


def read_book(session: Session, version: tuple[str, int], cache: WatchlistCache) -> RuleBook:
    """All tenants' enabled rules.

    Args:
        session: the platform's own transaction.
        version: read before, so that rules which change meanwhile are read again.
        cache: keeps watchlists that have not changed.
    """
    rules = repository.enabled_rules(session)
    return make_book(session, version, rules, planned_silences(session), cache)


def make_book(
    session: Session,
    version: tuple[str, int],
    rules: Sequence[Rule],
    silences: Iterable[PlannedSilence],
    cache: WatchlistCache,
    unstored: Mapping[UUID, str] | None = None,
) -> RuleBook:
    """A book of some rules and silences.

    Args:
        session: of the rules' tenant, or the platform's own.
        version: of the rules.
        rules: those that count.
        silences: those that count.
        cache: keeps watchlists that have not changed.
        unstored: names of channels that exist in a dry run alone.
    """
    names = {**enabled_channel_names(session), **(unstored or {})}
    inhibitions = planned_inhibitions(session)
    grouping = {rule.id: grouping_rule(rule, names) for rule in rules}
    effective = [rule for rule in rules if grouping[rule.id].channels or rule.digest_id]
    about_observables = [rule for rule in effective if rule.topic == OBSERVABLES]
    rule_set = RuleSet(conditions_of(rule) for rule in about_observables)
    topic_rules = _topic_rules(rule for rule in effective if rule.topic != OBSERVABLES)
    by_tenant: dict[str, list[PlannedSilence]] = {}
    watchlists = set(rule_set.watchlists)
    for _, expression in (pair for pairs in topic_rules.values() for pair in pairs):
        watchlists |= expression.watchlists
    for inhibition in inhibitions:
        watchlists |= inhibition.source.watchlists | inhibition.target.watchlists
    for silence in silences:
        by_tenant.setdefault(silence.tenant, []).append(silence)
        watchlists |= silence.expression.watchlists
    return RuleBook(
        version,
        rule_set,
        grouping,
        by_tenant,
        cache.read(session, watchlists),
        names,
        tuple((rule.tenant, rule.id) for rule in about_observables if _is_closed_by_expiry(rule)),
        inhibitions_by_tenant(inhibitions),
        topic_rules=topic_rules,
    )


def _topic_rules(rules: Iterable[Rule]) -> dict[str, list[tuple[Conditions, FilterExpression]]]:
    by_topic: dict[str, list[tuple[Conditions, FilterExpression]]] = {}
    for rule in rules:
        sources = frozenset(rule.sources)
        expression = topic_expression(rule.topic, sources, rule.filter, rule.tenant)
        by_topic.setdefault(rule.topic, []).append((conditions_of(rule), expression))
    return by_topic


def inhibitions_by_tenant(
    inhibitions: Iterable[PlannedInhibition],
) -> dict[str, list[PlannedInhibition]]:
    """Inhibitions by their tenants."""
    by_tenant: dict[str, list[PlannedInhibition]] = {}
    for inhibition in inhibitions:
        by_tenant.setdefault(inhibition.tenant, []).append(inhibition)
    return by_tenant


def _is_closed_by_expiry(rule: Rule) -> bool:
    is_about_observable = not {"observable.value", "observable.id"}.isdisjoint(rule.group_by)
    return is_about_observable and "expired" not in rule.on


def grouping_rule(rule: Rule, names: Mapping[UUID, str]) -> GroupingRule:
    """What a rule says about its messages."""
    return GroupingRule(
        id=rule.id,
        tenant=rule.tenant,
        name=rule.name,
        channels=_named(rule.channel_ids, names),
        group_by=tuple(rule.group_by),
        severity=rule.severity,
        update_seconds=rule.update_seconds,
        max_groups=rule.max_groups,
        digest_id=rule.digest_id,
        escalation=tuple(_step(step, names) for step in rule.escalation),
    )


def _step(values: Mapping[str, Any], names: Mapping[UUID, str]) -> EscalationStep:
    channel_ids = [UUID(each) for each in values["channel_ids"]]
    return EscalationStep(values["after_seconds"], _named(channel_ids, names))


def _named(channel_ids: Sequence[UUID], names: Mapping[UUID, str]) -> tuple[tuple[UUID, str], ...]:
    return tuple((id_, names[id_]) for id_ in channel_ids if id_ in names)


def conditions_of(rule: Rule) -> Conditions:
    """What a rule matches."""
    return Conditions(
        rule_id=rule.id,
        tenant=rule.tenant,
        rule=rule.name,
        on=frozenset(cast("list[Occasion]", rule.on)),
        types=frozenset(rule.types),
        min_score=rule.min_score,
        sources=frozenset(rule.sources),
        tags=frozenset(rule.tags),
        filter=rule.filter,
        topic=rule.topic,
    )

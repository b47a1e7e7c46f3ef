"""A rule's conditions as one expression of the filter language.

The conditions that a rule has as fields of their own are a short form: kinds, types, a minimum
score, sources and tags become the same tree that a filter is read into, and the rule's own filter
is joined to it.
"""

from collections.abc import Set as AbstractSet
from functools import lru_cache

from services.notifications.fields import CHANGE_MODEL
from services.notifications.topics import EVENT_TOPICS, OBSERVABLES
from shared.filters.conditions import (
    Always,
    Condition,
    Conjunction,
    ConstantValue,
    Disjunction,
    ElementValue,
    FieldValue,
    Membership,
    Negation,
    Presence,
    SomeElement,
    ValueComparison,
)
from shared.filters.filter import FilterExpression, parse_filter, qualify_watchlists
from shared.filters.model import ValueType


@lru_cache(maxsize=10_000)
def parse_rule_filter(text: str, topic: str = OBSERVABLES) -> FilterExpression:
    """Read the filter of a rule over a topic; the same text is read and compiled once.

    Raises:
        FilterError: it cannot be used; the message shows the place.
    """
    model = CHANGE_MODEL if topic == OBSERVABLES else EVENT_TOPICS[topic].model
    return parse_filter(text, model)


@lru_cache(maxsize=10_000)
def topic_expression(
    topic: str, sources: AbstractSet[str], text: str, tenant: str
) -> FilterExpression:
    """All conditions of a rule over another topic than observables as one expression.

    Args:
        topic: its name.
        sources: what caused the events; none means any.
        text: the rule's filter, or nothing.
        tenant: whose rule it is: its watchlists are named `tenant/name`.
    """
    conditions: list[Condition] = []
    if sources:
        field = FieldValue(EVENT_TOPICS[topic].model.fields["source.name"])
        conditions.append(Membership(field, tuple(sorted(sources))))
    if text:
        own = qualify_watchlists(parse_rule_filter(text, topic), f"{tenant}/")
        conditions.append(own.condition)
    return FilterExpression(
        text, Conjunction(tuple(conditions)) if conditions else Always(is_true=True)
    )


@lru_cache(maxsize=10_000)
def rule_expression(
    kinds: AbstractSet[str],
    types: AbstractSet[str],
    min_score: int | None,
    sources: AbstractSet[str],
    tags: AbstractSet[str],
    text: str,
    tenant: str = "",
) -> FilterExpression:
    """All conditions of a rule as one expression.

    Args:
        kinds: of change that the rule is about.
        types: of observables; none means any.
        min_score: what it takes to be news, if there is such a score.
        sources: names of feeds; none means any.
        tags: one of them must be there; none means any.
        text: the rule's filter, or nothing.
        tenant: whose rule it is: its watchlists are named `tenant/name`.
    """
    conditions: list[Condition] = [_among("change.kind", kinds)]
    if types:
        conditions.append(_among("observable.type", types))
    if sources:
        conditions.append(_among("source.name", sources))
    conditions += _news(min_score, has_filter=bool(text))
    if tags:
        conditions.append(_tagged(tags))
    if text:
        own = qualify_watchlists(parse_rule_filter(text), f"{tenant}/")
        conditions.append(own.condition)
    return FilterExpression(text, Conjunction(tuple(conditions)))


def _among(path: str, values: AbstractSet[str]) -> Condition:
    return Membership(_field(path), tuple(sorted(values)))


def _tagged(tags: AbstractSet[str]) -> Condition:
    variable = ElementValue("tag", 0, ValueType.text)
    return SomeElement(_field("observable.tags"), variable, Membership(variable, tuple(tags)))


def _news(min_score: int | None, *, has_filter: bool) -> list[Condition]:
    """What makes a change worth telling.

    With a score: to be new at or above it, to rise to it from below, or to expire after having had
    it. Without one: to be new or to expire, and to change only if a filter says more.
    """
    is_changed = _kind("changed")
    if min_score is None:
        return [] if has_filter else [Negation(is_changed)]
    minimum = ConstantValue(min_score)
    score = _field("change.score")
    before = _field("change.score_before")
    reaches = ValueComparison(">=", score, minimum)
    had = Conjunction((Presence(before), ValueComparison(">=", before, minimum)))
    rises = Conjunction((is_changed, reaches, Negation(had)))
    expires = Conjunction((_kind("expired"), Disjunction((reaches, had))))
    return [Disjunction((Conjunction((_kind("new"), reaches)), rises, expires))]


def _kind(kind: str) -> Condition:
    return ValueComparison("==", _field("change.kind"), ConstantValue(kind))


def _field(path: str) -> FieldValue:
    return FieldValue(CHANGE_MODEL.fields[path])

"""A filter: read and checked once, then used as function, SQL condition or sentence."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from shared.filters.checker import check
from shared.filters.conditions import (
    Condition,
    Conjunction,
    Disjunction,
    EveryElement,
    FieldValue,
    Negation,
    SomeElement,
    Watched,
)
from shared.filters.matcher import (
    Environment,
    Matcher,
    Selector,
    compile_matcher,
    compile_selector,
)
from shared.filters.model import FilterModel
from shared.filters.parser import parse
from shared.filters.requirements import Requirements, requirements
from shared.filters.sentence import describe
from shared.filters.sql import SqlColumns, SqlFilter, compile_sql


@dataclass(frozen=True)
class FilterExpression:
    """A filter over the fields of a model.

    Attributes:
        text: as it was written.
        condition: what it means.
    """

    text: str
    condition: Condition

    @cached_property
    def matcher(self) -> Matcher:
        """The function; about a tenth of a microsecond a comparison."""
        return compile_matcher(self.condition)

    @cached_property
    def selector(self) -> Selector:
        """The function for many subjects."""
        return compile_selector(self.condition)

    def matches(self, subject: Any, environment: Environment) -> bool:
        """Whether it matches a subject."""
        return self.matcher(subject, environment)

    def sql(self, columns: SqlColumns, environment: Environment) -> SqlFilter:
        """The SQL condition over stored fields."""
        return compile_sql(self.condition, columns, environment)

    @cached_property
    def sentence(self) -> str:
        """What follows "when" in a sentence for people."""
        return describe(self.condition)

    @cached_property
    def requirements(self) -> Requirements:
        """What it requires of single fields."""
        return requirements(self.condition)

    @cached_property
    def paths(self) -> frozenset[str]:
        """The fields that it names."""
        return frozenset(_paths(self.condition))

    @cached_property
    def watchlists(self) -> frozenset[str]:
        """Names of the watchlists that it refers to."""
        return frozenset(_watchlists(self.condition))


def parse_filter(text: str, model: FilterModel) -> FilterExpression:
    """Read and check a filter.

    Args:
        text: at most 4 KB.
        model: the fields that it may name.

    Raises:
        FilterError: it cannot be used; the message shows the place.
    """
    return FilterExpression(text, check(text, parse(text), model))


def qualify_watchlists(expression: FilterExpression, prefix: str) -> FilterExpression:
    """The same filter, with a prefix before the names of its watchlists.

    Owners name their watchlists alike; prefixed by the owner, one mapping holds those of all.
    """
    if not expression.watchlists:
        return expression
    return FilterExpression(expression.text, _qualified(expression.condition, prefix))


def _paths(node: object) -> Iterator[str]:
    if isinstance(node, FieldValue):
        yield node.field.path
    elif isinstance(node, tuple):
        for each in node:
            yield from _paths(each)
    elif is_dataclass(node):
        for each in fields(node):
            yield from _paths(getattr(node, each.name))


def _qualified(condition: Condition, prefix: str) -> Condition:
    match condition:
        case Watched(_, watchlist):
            return replace(condition, watchlist=f"{prefix}{watchlist}")
        case Negation(part):
            return Negation(_qualified(part, prefix))
        case SomeElement() | EveryElement():
            return replace(condition, condition=_qualified(condition.condition, prefix))
        case Conjunction(parts):
            return Conjunction(tuple(_qualified(part, prefix) for part in parts))
        case Disjunction(parts):
            return Disjunction(tuple(_qualified(part, prefix) for part in parts))
    return condition


def _watchlists(condition: Condition) -> set[str]:
    match condition:
        case Watched(_, watchlist):
            return {watchlist}
        case Negation(part) | SomeElement(_, _, part) | EveryElement(_, _, part):
            return _watchlists(part)
        case Conjunction(parts) | Disjunction(parts):
            return set().union(*[_watchlists(part) for part in parts])
    return set()

"""Which silence holds a match, as plain functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from services.notifications.fields import SILENCE_MODEL
from shared.filters.filter import FilterExpression, parse_filter, qualify_watchlists
from shared.filters.matcher import Watchlist


@dataclass(frozen=True, slots=True)
class MatchEnvironment:
    """What all matches of a rule in an event have in common.

    Attributes:
        rule, severity: the rule's.
    """

    source: str
    now: datetime
    rule: str
    severity: str
    watchlists: Mapping[str, Watchlist] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedSilence:
    """A silence, ready to be applied."""

    id: UUID
    tenant: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    expression: FilterExpression

    def is_active(self, now: datetime) -> bool:
        """Whether it holds matches at a moment."""
        return self.starts_at <= now < self.ends_at


@lru_cache(maxsize=10_000)
def parse_silence(text: str) -> FilterExpression:
    """Read the filter of a silence.

    Raises:
        FilterError: it cannot be used; the message shows the place.
    """
    return parse_filter(text, SILENCE_MODEL)


@lru_cache(maxsize=10_000)
def owned_expression(text: str, tenant: str) -> FilterExpression:
    """The filter of a tenant's silence, with its own watchlists."""
    return qualify_watchlists(parse_silence(text), f"{tenant}/")


def split_silenced(
    silences: Iterable[PlannedSilence], matches: Sequence[Any], environment: MatchEnvironment
) -> tuple[list[Any], list[tuple[PlannedSilence, list[Any]]]]:
    """The matches that no silence holds, and each silence with those that it holds.

    Of several silences the one that ends last holds a match.
    """
    left = list(matches)
    parts: list[tuple[PlannedSilence, list[Any]]] = []
    for silence in sorted(silences, key=_end, reverse=True):
        silenced = silence.expression.selector(left, environment)
        if silenced:
            parts.append((silence, silenced))
            ids = {id(match) for match in silenced}
            left = [match for match in left if id(match) not in ids]
    return left, parts


def _end(silence: PlannedSilence) -> datetime:
    return silence.ends_at

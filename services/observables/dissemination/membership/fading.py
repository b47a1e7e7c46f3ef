"""When a fading score takes an observable out of a list. No I/O."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.membership.plan import EXPIRED
from services.observables.dissemination.membership.subjects import Subject
from services.observables.scoring.inputs import ObservableState
from shared.filters.conditions import (
    Condition,
    Conjunction,
    ConstantValue,
    Disjunction,
    EveryElement,
    FieldValue,
    Membership,
    Negation,
    SomeElement,
    Value,
    ValueComparison,
)
from shared.filters.matcher import Environment

_FAR: Final = timedelta(days=400)
"""What fades, has faded by then."""
_SCORE: Final = "observable.score"


def leaving_time(
    text: str, subject: Subject, state: ObservableState, now: datetime
) -> datetime | None:
    """When time takes an observable out of a list, to a second; None if it does not.

    Args:
        text: the list's filter, which matches.
        subject: the observable as it is.
        state: what is stored about it.
        now: the moment at which it matches.
    """
    floor = _floor(text, subject, Environment(now))
    high = now + _FAR
    if state.evaluate(high).score >= floor:
        return None
    low = now
    while (high - low).total_seconds() > 1:
        middle = low + (high - low) / 2
        if state.evaluate(middle).score >= floor:
            low = middle
        else:
            high = middle
    return high


def _floor(text: str, subject: Subject, environment: Environment) -> int:
    """The lowest score, from the present one down, with which a filter matches."""
    matcher = parse_list_filter(text).matcher
    for score in _bounds(text):
        if score >= subject.score:
            continue
        if not matcher(subject._replace(score=score), environment):
            return score + 1
    return EXPIRED


@lru_cache(maxsize=10_000)
def _bounds(text: str) -> tuple[int, ...]:
    """The scores at which a filter may begin to match otherwise, the highest first."""
    constants = set(_constants(parse_list_filter(text).condition))
    around = {constant + step for constant in constants for step in (-1, 0, 1)}
    return tuple(sorted({int(bound) for bound in around if bound >= EXPIRED}, reverse=True))


def _constants(condition: Condition) -> Iterator[float]:
    """The numbers with which a condition compares the score."""
    match condition:
        case Negation(part) | SomeElement(_, _, part) | EveryElement(_, _, part):
            yield from _constants(part)
        case Conjunction(parts) | Disjunction(parts):
            for part in parts:
                yield from _constants(part)
        case ValueComparison(_, left, right) if _is_score(left) or _is_score(right):
            for value in (left, right):
                if isinstance(value, ConstantValue) and isinstance(value.value, int | float):
                    yield value.value
        case Membership(member, constants) if _is_score(member):
            yield from (each for each in constants if isinstance(each, int | float))


def _is_score(value: Value) -> bool:
    return isinstance(value, FieldValue) and value.field.path == _SCORE

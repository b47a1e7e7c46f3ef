"""From a chunk of a feed run to what it says about observables. No I/O."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from services.observables.store.plan import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    stronger,
)
from shared.errors import InvalidInput
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.stix.ids import observable_id
from shared.stix.vocabulary import MAX_LENGTH
from shared.timestamps import parse_timestamp

SLACK: Final = timedelta(minutes=1)
"""What clocks of processes may differ by."""

StandsFor = Callable[[str | None, tuple[str, ...]], tuple[str, ...]]
"""ATT&CK ids that a malware family and tags stand for; the same answer for the same question is one object."""


class Batch(NamedTuple):
    """What several chunks of one run say, by observable id; of two words about one the stronger holds.

    Attributes:
        source: who says it.
        origin: the number of the chunk an id came in last.
    """

    source: AssertingSource
    said: dict[str, IncomingAssertion]
    gone: dict[str, IncomingAssertion]
    origin: dict[str, int]


def read(data: IndicatorsObserved, number: int, batch: Batch, stands_for: StandsFor) -> list[str]:
    """Add a chunk to a batch.

    Args:
        data: the chunk.
        number: its number.
        batch: what it is added to.
        stands_for: maps malware and tags to ATT&CK.

    Returns:
        What is wrong with the indicators that were left out, each with its place in the chunk.
    """
    problems = []
    said, origin = batch.said, batch.origin
    observed = batch.source.observed_at.isoformat()
    usual = AssertionData(
        data.confidence, data.tags, None, observed, None, attack=stands_for(None, data.tags)
    )
    over = AssertionData(0, (), None, observed, None, retracted=True)
    for position, indicator in enumerate(data.seen):
        try:
            identity = _identity(indicator)
            word = _word(indicator, usual, stands_for, batch.source.observed_at)
        except InvalidInput as error:
            problems.append(f"seen[{position}]: {error.message}")
            continue
        one = IncomingAssertion(identity, indicator.type, indicator.value, word)
        said[identity] = stronger(batch.source, one, said[identity]) if identity in said else one
        origin[identity] = number
    for position, indicator in enumerate(data.gone):
        try:
            identity = _identity(indicator)
        except InvalidInput as error:
            problems.append(f"gone[{position}]: {error.message}")
            continue
        batch.gone[identity] = IncomingAssertion(identity, indicator.type, indicator.value, over)
        origin[identity] = number
    return problems


def _word(
    indicator: Indicator, usual: AssertionData, stands_for: StandsFor, observed_at: datetime
) -> AssertionData:
    if (
        indicator.confidence is None
        and not indicator.tags
        and indicator.malware is None
        and indicator.first_seen is None
        and indicator.valid_until is None
        and indicator.last_seen is None
    ):
        return usual
    if indicator.confidence is not None and not 0 <= indicator.confidence <= 100:
        raise InvalidInput(f"a confidence of {indicator.confidence} is not between 0 and 100")
    tags = tuple(sorted({*usual.tags, *indicator.tags})) if indicator.tags else usual.tags
    return AssertionData(
        usual.confidence if indicator.confidence is None else indicator.confidence,
        tags,
        indicator.malware,
        _seen(indicator.first_seen, observed_at) or usual.first_seen,
        _told(indicator.valid_until),
        _seen(indicator.last_seen, observed_at),
        stands_for(indicator.malware, tags)
        if indicator.malware or indicator.tags
        else usual.attack,
    )


@lru_cache(maxsize=4096)
def _told(text: str | None) -> str | None:
    """A time as everybody reads it: what Python understands is more than what PostgreSQL does."""
    return None if text is None else parse_moment(text).isoformat()


@lru_cache(maxsize=4096)
def _seen(text: str | None, observed_at: datetime) -> str | None:
    """When something was seen: not after the run that tells it, or it would not fade until then."""
    return None if text is None else min(parse_moment(text), observed_at).isoformat()


def spoken_at(text: str, now: datetime) -> datetime:
    """The moment of a run, by the clock of whoever ran it; of one that is ahead no more than clocks differ is taken.

    What it says would be newer than all that the source says until time has caught up.

    Raises:
        InvalidInput: it is no moment.
    """
    return min(parse_moment(text), now + SLACK)


def parse_moment(text: str) -> datetime:
    """A time as RFC 3339 writes it, in UTC; without an offset it is UTC.

    Raises:
        InvalidInput: it is none, or none that UTC has.
    """
    try:
        return parse_timestamp(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time as RFC 3339 writes it.") from None


def _identity(indicator: Indicator) -> str:
    value = indicator.value
    if not value or len(value) > MAX_LENGTH or "\0" in value:
        raise InvalidInput("the value is empty, longer than 8,192 characters, or has a NUL")
    try:
        return observable_id(indicator.type, value)
    except KeyError:
        raise InvalidInput(f"{indicator.type!r} is no type of observable") from None

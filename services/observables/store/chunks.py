"""From a chunk of a feed run to the assertions in it. No I/O."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.observables.store.incoming import AssertingSource, AssertionData, IncomingAssertion
from services.observables.store.plan import stronger
from shared.database import PUBLIC
from shared.errors import InvalidInput
from shared.events.feeds import (
    MAX_INDICATOR_BYTES,
    Indicator,
    IndicatorRelation,
    IndicatorsObserved,
)
from shared.stix.ids import observable_id
from shared.stix.markings import NOT_FOR_ALL_TENANTS, marking_of
from shared.stix.vocabulary import MAX_LENGTH
from shared.timestamps import parse_timestamp

CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far the clocks of processes may differ."""

_MAX_RELATIONS: Final = 100
"""Relations of one indicator."""
_KIND: Final = re.compile("[a-z][a-z-]{0,39}")
StandsFor = Callable[[str | None, tuple[str, ...]], tuple[str, ...]]
"""ATT&CK ids that a malware family and tags stand for. The same arguments give the same object."""


class NamedRelation(NamedTuple):
    """A relation from one observable to another, by their ids."""

    from_id: str
    kind: str
    to_id: str


class Batch(NamedTuple):
    """What several chunks of one run report, by observable id.

    Attributes:
        source: the source that reports it.
        asserted: of two assertions about one observable the stronger.
        retracted: what the source no longer lists.
        origin: the number of the chunk that an id came in last.
        relations: relations between observables that the source names in one entry.
        unstorable: the number of a chunk that lists an id with properties that cannot be stored.
            The source lists it all the same: what it asserted of it before stays.
    """

    source: AssertingSource
    asserted: dict[str, IncomingAssertion]
    retracted: dict[str, IncomingAssertion]
    origin: dict[str, int]
    relations: set[NamedRelation]
    unstorable: dict[str, int]


def read_chunk(
    payload: IndicatorsObserved, number: int, batch: Batch, stands_for: StandsFor
) -> list[str]:
    """Add a chunk to a batch.

    Args:
        payload: the chunk.
        number: its number.
        batch: the batch that it is added to.
        stands_for: maps malware and tags to ATT&CK.

    Returns:
        The problems of the indicators that were left out, each with its place in the chunk.
    """
    problems = []
    asserted = batch.asserted
    origin = batch.origin
    source = batch.source
    observed_at = source.observed_at
    is_stream = source.kind != "snapshot"
    defaults = AssertionData(
        payload.confidence,
        payload.tags,
        None,
        observed_at,
        None,
        attack=stands_for(None, payload.tags),
    )
    retraction = AssertionData(0, (), None, observed_at, None, retracted=True)
    for position, indicator in enumerate(payload.seen):
        identity = ""
        try:
            identity = _identity(indicator)
            data = _assertion_data(
                indicator, defaults, stands_for, observed_at, is_stream=is_stream
            )
            _check_readers(source.tenant, data.tags)
            if indicator.relations:
                batch.relations.update(_relations(identity, indicator.relations))
        except InvalidInput as error:
            problems.append(f"seen[{position}]: {error.message}")
            if identity:
                batch.unstorable[identity] = number
            continue
        assertion = IncomingAssertion(identity, indicator.type, indicator.value, data)
        if identity in asserted:
            assertion = stronger(source, assertion, asserted[identity])
        asserted[identity] = assertion
        origin[identity] = number
    for position, indicator in enumerate(payload.gone):
        try:
            identity = _identity(indicator)
        except InvalidInput as error:
            problems.append(f"gone[{position}]: {error.message}")
            continue
        batch.retracted[identity] = IncomingAssertion(
            identity, indicator.type, indicator.value, retraction
        )
        origin[identity] = number
    return problems


def _assertion_data(
    indicator: Indicator,
    defaults: AssertionData,
    stands_for: StandsFor,
    observed_at: datetime,
    *,
    is_stream: bool,
) -> AssertionData:
    """What an indicator says, with the defaults of its chunk.

    A stream that says only when it saw an observable first has not seen it since: what it reports
    gets no younger by being fetched. A list vouches for all that it names.
    """
    if (
        indicator.confidence is None
        and not indicator.tags
        and indicator.malware is None
        and indicator.first_seen is None
        and indicator.valid_until is None
        and indicator.last_seen is None
    ):
        return defaults
    confidence = defaults.confidence if indicator.confidence is None else indicator.confidence
    if not 0 <= confidence <= 100:
        raise InvalidInput(f"a confidence of {confidence} is not between 0 and 100")
    tags = defaults.tags
    attack = defaults.attack
    if indicator.tags:
        if sum(map(len, indicator.tags)) > MAX_INDICATOR_BYTES:
            raise InvalidInput(f"its tags have more than {MAX_INDICATOR_BYTES:,} characters")
        tags = tuple(sorted({*tags, *indicator.tags}))
    if indicator.malware or indicator.tags:
        attack = stands_for(indicator.malware, tags)
    first_seen = _seen_at(indicator.first_seen, observed_at)
    last_seen = _seen_at(indicator.last_seen, observed_at)
    if last_seen is None and is_stream:
        last_seen = first_seen
    return AssertionData(
        confidence,
        tags,
        indicator.malware,
        first_seen or defaults.first_seen,
        None if indicator.valid_until is None else parse_time(indicator.valid_until),
        last_seen,
        attack,
    )


def _check_readers(tenant: str, tags: tuple[str, ...]) -> None:
    """Refuse what all tenants would read and fewer may."""
    if tenant == PUBLIC and tags and marking_of(tags) in NOT_FOR_ALL_TENANTS:
        raise InvalidInput("it is marked for fewer readers than the tenant `public` has")


def _seen_at(text: str | None, observed_at: datetime) -> datetime | None:
    """When it was seen, at the latest the time of the run, so that it fades from there."""
    return None if text is None else min(parse_time(text), observed_at)


def run_time(text: str, now: datetime) -> datetime:
    """The time of a run by the feeds' database, at most as far ahead as clocks differ.

    Its reports would otherwise be newer than all others of the source until time has caught up.

    Raises:
        InvalidInput: the text is no time.
    """
    return min(parse_time(text), now + CLOCK_SKEW)


def parse_time(text: str) -> datetime:
    """A time as RFC 3339 writes it, in UTC; without an offset it is UTC.

    Raises:
        InvalidInput: the text is no time, or none that UTC has.
    """
    try:
        return parse_timestamp(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time as RFC 3339 writes it.") from None


def _relations(identity: str, relations: Sequence[IndicatorRelation]) -> Iterator[NamedRelation]:
    if len(relations) > _MAX_RELATIONS:
        raise InvalidInput(f"it has {len(relations)} relations; {_MAX_RELATIONS} are the limit")
    for relation in relations:
        if not _KIND.fullmatch(relation.kind):
            raise InvalidInput(f"{relation.kind[:40]!r} is no kind of relation")
        yield NamedRelation(identity, relation.kind, _identity(relation))


def _identity(indicator: Indicator | IndicatorRelation) -> str:
    value = indicator.value
    if not value or len(value) > MAX_LENGTH or "\0" in value:
        raise InvalidInput("the value is empty, longer than 8,192 characters, or has a NUL")
    try:
        return observable_id(indicator.type, value)
    except KeyError:
        raise InvalidInput(f"{indicator.type!r} is no type of observable") from None

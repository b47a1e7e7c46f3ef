"""From what a source says and what is stored to what has to change. No I/O: a plan is made, others write it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from services.observables import scoring
from services.observables.scoring import Claim
from shared.events.observables import Change
from shared.stix.ids import stix_type

REASSERTED_AFTER = timedelta(days=1)
"""A source that repeats itself moves `last_seen` at most once in this time: a repeated feed writes nothing."""


class Word(NamedTuple):
    """What a source says about an observable, with the event's defaults filled in; many observables share one.

    Times are RFC 3339 texts, as they came.
    """

    confidence: int
    tags: tuple[str, ...]
    malware: str | None
    first_seen: str
    valid_until: str | None


class Said(NamedTuple):
    """One indicator of a source, with its observable's id."""

    id: str
    type: str
    value: str
    word: Word


class Stored(NamedTuple):
    """One assertion as it is stored, with its source's reliability."""

    source_id: str
    source: str
    reliability: int
    confidence: int
    tags: tuple[str, ...]
    malware: str | None
    valid_until: datetime | None
    last_seen: datetime
    retracted: bool

    @property
    def claim(self) -> Claim:
        """The assertion as the score sees it."""
        return Claim(self.source, self.reliability, self.confidence)


class Known(NamedTuple):
    """What is stored about one observable in the tenant."""

    type: str
    value: str
    score: int
    assertions: dict[str, Stored]


class Source(NamedTuple):
    """The source that speaks, and when it saw what it says."""

    id: str
    name: str
    reliability: int
    observed_at: datetime


class Plan(NamedTuple):
    """What has to be written, and what to announce.

    Attributes:
        created: new observables, with their score; this source is the first to assert them.
        asserted: further observables that this source asserts for the first time.
        reasserted: assertions of this source that differ from what is stored.
        rescored: observables whose score changes, with the new one.
        retracted: ids of observables this source no longer asserts.
        changes: one per observable that is new or changed for a reader.
    """

    created: list[tuple[Said, int]]
    asserted: list[Said]
    reasserted: list[Said]
    rescored: list[tuple[str, int]]
    retracted: list[str]
    changes: list[Change]


def plan(source: Source, said: Iterable[Said], gone: Iterable[str], known: Mapping[str, Known]) -> Plan:
    """Compare what one source says with what is known.

    Args:
        source: who speaks.
        said: its indicators; at most one per observable.
        gone: ids of observables it no longer lists.
        known: what is stored, by observable id.
    """
    made = Plan([], [], [], [], [], [])
    for one in said:
        before = known.get(one.id)
        if before is None:
            _create(made, source, one)
        else:
            _assert(made, source, one, before)
    for identity in gone:
        if identity in known:
            _retract(made, source, identity, known[identity])
    return made


def _create(made: Plan, source: Source, one: Said) -> None:
    score = scoring.single(source.reliability, one.word.confidence)
    made.created.append((one, score))
    made.changes.append(
        Change(f"{stix_type(one.type)}--{one.id}", one.type, one.value, "new", score, None, one.word.tags)
    )


def _assert(made: Plan, source: Source, one: Said, before: Known) -> None:
    mine = before.assertions.get(source.id)
    if mine is not None and source.observed_at < mine.last_seen:
        return  # an older word that arrived late
    if mine is not None and _same(mine, one.word) and source.observed_at - mine.last_seen < REASSERTED_AFTER:
        # Nothing new from this source; but the score may be behind a source's new reliability.
        _announce(made, one.id, before, before.assertions)
        return
    (made.asserted if mine is None else made.reasserted).append(one)
    word, at = one.word, source.observed_at
    now = Stored(
        source.id, source.name, source.reliability, word.confidence, word.tags, word.malware, None, at, retracted=False
    )
    _announce(made, one.id, before, {**before.assertions, source.id: now})


def _same(mine: Stored, word: Word) -> bool:
    until = datetime.fromisoformat(word.valid_until) if word.valid_until else None
    return (
        not mine.retracted
        and mine.confidence == word.confidence
        and mine.tags == word.tags
        and mine.malware == word.malware
        and mine.valid_until == until
    )


def _retract(made: Plan, source: Source, identity: str, before: Known) -> None:
    mine = before.assertions.get(source.id)
    if mine is None or mine.retracted or source.observed_at < mine.last_seen:
        return
    made.retracted.append(identity)
    _announce(made, identity, before, {**before.assertions, source.id: mine._replace(retracted=True)})


def _announce(made: Plan, identity: str, before: Known, after: Mapping[str, Stored]) -> None:
    """Compare before and after as a reader sees them: score, labels, who asserts it."""
    was, now = _active(before.assertions), _active(after)
    score = scoring.score(one.claim for one in now)
    if score != before.score:
        made.rescored.append((identity, score))
    if score == before.score and _view(was) == _view(now):
        return
    made.changes.append(
        Change(
            f"{stix_type(before.type)}--{identity}",
            before.type,
            before.value,
            "changed" if now else "expired",
            score,
            before.score,
            _tags(now),
            len(now),
        )
    )


def _active(assertions: Mapping[str, Stored]) -> list[Stored]:
    return [one for one in assertions.values() if not one.retracted]


def _view(assertions: list[Stored]) -> tuple[tuple[str, ...], frozenset[str]]:
    return _tags(assertions), frozenset(one.source_id for one in assertions)


def _tags(assertions: list[Stored]) -> tuple[str, ...]:
    return tuple(sorted({tag for one in assertions for tag in one.tags}))

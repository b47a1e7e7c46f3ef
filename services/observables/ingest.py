"""From what a source says and what is stored to what has to change. No I/O: a plan is made, others write it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from services.observables import scoring
from services.observables.decay import THRESHOLDS
from services.observables.knowledge import Effects, Known, Stored
from services.observables.scoring import Claim
from shared.events.observables import Change, ChangeKind
from shared.stix.ids import stix_type

REASSERTED_AFTER: Final = timedelta(days=1)
"""A source that repeats itself moves `last_seen` at most once in this time: a repeated feed writes nothing."""

NEWS: Final = 5
"""A score that moves by less, and across no threshold, is no news: time moves every score a little every day."""


class Word(NamedTuple):
    """What a source says about an observable, with the event's defaults filled in; many observables share one.

    Times are RFC 3339 texts, as they came.
    """

    confidence: int
    tags: tuple[str, ...]
    malware: str | None
    first_seen: str
    valid_until: str | None
    last_seen: str | None = None
    attack: tuple[str, ...] = ()
    retracted: bool = False


class Said(NamedTuple):
    """One indicator of a source, with its observable's id."""

    id: str
    type: str
    value: str
    word: Word


class Source(NamedTuple):
    """The source that speaks, and when it saw what it says."""

    id: str
    name: str
    reliability: int
    observed_at: datetime
    kind: str = "stream"


class Scored(NamedTuple):
    """A score and when it has to be looked at again."""

    score: int
    due: datetime | None


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

    created: list[tuple[Said, Scored]]
    asserted: list[Said]
    reasserted: list[Said]
    rescored: list[tuple[str, Scored]]
    retracted: list[str]
    changes: list[Change]


NO_EFFECTS: Final[Effects] = ()


def plan(
    source: Source,
    said: Iterable[Said],
    gone: Iterable[Said],
    known: Mapping[str, Known],
    effects: Mapping[str, Effects] = MappingProxyType({}),
) -> Plan:
    """Compare what one source says with what is known.

    Args:
        source: who speaks.
        said: its indicators; at most one per observable.
        gone: what it no longer lists, with words that are retracted. One that nobody has heard of is kept as well:
            what the source said before may still arrive, and is over.
        known: what is stored, by observable id.
        effects: what the values of new observables do to their scores, by observable id.
    """
    made = Plan([], [], [], [], [], [])
    first = _FirstWords(source)
    for one in said:
        before = known.get(one.id)
        if before is None:
            scored = first.score(one, effects.get(one.id, NO_EFFECTS))
            made.created.append((one, scored))
            made.changes.append(_new(one, scored))
        else:
            _assert(made, source, one, before)
    for one in gone:
        before = known.get(one.id)
        if before is None:
            made.created.append((one, Scored(0, None)))
        else:
            _retract(made, source, one, before)
    return made


class _FirstWords:
    """Scores of what nobody said before: a list says the same about most of its lines."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._scores: dict[tuple[object, ...], Scored] = {}

    def score(self, one: Said, effects: Effects) -> Scored:
        # By identity: lines share their word, and hashing what is in it takes longer than scoring. The reasons of
        # effects differ from value to value and count for nothing.
        asked = (one.type, id(one.word), *((by.kind, by.name, by.weight, by.until) for by in effects))
        found = self._scores.get(asked)
        if found is None:
            found = self._scores[asked] = evaluate(
                one.type, [_heard(self._source, one.word)], (), effects, self._source.observed_at
            )
        return found


def evaluate(type_: str, stored: Iterable[Stored], voices: Iterable[Claim], effects: Effects, now: datetime) -> Scored:
    """The score at a moment, and when it has to be looked at again."""
    active = [one for one in stored if one.active(now)]
    claims = [*(one.claim for one in active), *voices]
    score = scoring.score(type_, claims, effects, now)
    ends = [one.valid_until for one in active if one.valid_until is not None]
    voices_end = (*(one.until for one in claims), *(one.until for one in effects))
    ends += [until for until in voices_end if until is not None and until > now]
    fades = scoring.due(type_, claims, effects, now, score)
    return Scored(score, min([*ends, *([fades] if fades else [])], default=None))


def _new(one: Said, scored: Scored) -> Change:
    return Change(
        f"{stix_type(one.type)}--{one.id}", one.type, one.value, "new", scored.score, None, one.word.tags,
        attack=one.word.attack,
    )  # fmt: skip


def _assert(made: Plan, source: Source, one: Said, before: Known) -> None:
    mine = before.assertions.get(source.id)
    if mine is not None and source.observed_at < mine.observed_at:
        return  # an older word that arrived late
    now = _heard(source, one.word)
    if mine is None:
        made.asserted.append(one)
    elif not _same(mine, now) or _worth_noting(source, mine.observed_at):
        made.reasserted.append(one)
    announce(made, one.id, before, {**before.assertions, source.id: now}, source.observed_at)


def _worth_noting(source: Source, before: datetime) -> bool:
    """Whether it matters that a source says the same again.

    A stream repeats itself all the time. A snapshot does not: when it says something again, then what it said in
    between may still arrive, and has to be known as older.
    """
    age = source.observed_at - before
    return age >= REASSERTED_AFTER or (source.kind == "snapshot" and age > timedelta())


def _heard(source: Source, word: Word) -> Stored:
    """A word as it will be stored."""
    return Stored(
        source.id,
        source.name,
        source.reliability,
        word.confidence,
        word.tags,
        word.malware,
        moment(word.valid_until) if word.valid_until else None,
        moment(word.last_seen) if word.last_seen else source.observed_at,
        retracted=False,
        observed_at=source.observed_at,
        kind=source.kind,
        confirmed_at=source.observed_at,
        attack=word.attack,
    )


@lru_cache(maxsize=4096)
def moment(text: str) -> datetime:
    """A time as RFC 3339 writes it, known to be one; without an offset it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _same(mine: Stored, now: Stored) -> bool:
    return (
        not mine.retracted
        and mine.confidence == now.confidence
        and mine.tags == now.tags
        and mine.malware == now.malware
        and mine.valid_until == now.valid_until
        and mine.attack == now.attack
    )


def _retract(made: Plan, source: Source, one: Said, before: Known) -> None:
    mine = before.assertions.get(source.id)
    if mine is None:
        made.asserted.append(one)
        return
    if source.observed_at < mine.observed_at or (mine.retracted and source.observed_at == mine.observed_at):
        return
    made.retracted.append(one.id)
    after = {**before.assertions, source.id: mine._replace(retracted=True)}
    announce(made, one.id, before, after, source.observed_at)


def announce(made: Plan, identity: str, before: Known, after: Mapping[str, Stored], now: datetime) -> None:
    """Compare before and after as a reader sees them: score, labels, who asserts it."""
    was = [one for one in before.assertions.values() if not one.retracted]
    active = [one for one in after.values() if one.active(now)]
    scored = evaluate(before.type, active, before.voices, before.effects, now)
    if _view(was) == _view(active) and not is_news(before.score, scored.score):
        return
    made.rescored.append((identity, scored))
    made.changes.append(changed(identity, before, scored.score, active))


def is_news(before: int, after: int) -> bool:
    """Whether a score has moved far enough to be told."""
    crossed = any((before >= threshold) != (after >= threshold) for threshold in THRESHOLDS)
    return crossed or abs(after - before) >= NEWS


def changed(identity: str, before: Known, score: int, active: list[Stored]) -> Change:
    """The announcement of a change; `active` are the assertions that hold after it."""
    lapsed = score < THRESHOLDS[-1] <= before.score
    kind: ChangeKind = "expired" if lapsed or not (active or before.voices) else "changed"
    name = f"{stix_type(before.type)}--{identity}"
    tags, attack = _labels(active), techniques(active)
    return Change(name, before.type, before.value, kind, score, before.score, tags, len(active), attack)


def _view(assertions: list[Stored]) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    return _labels(assertions), techniques(assertions), frozenset(one.source_id for one in assertions)


def techniques(assertions: Iterable[Stored]) -> tuple[str, ...]:
    """ATT&CK ids that any of the assertions stands for."""
    return tuple(sorted({one for said in assertions for one in said.attack}))


def _labels(assertions: list[Stored]) -> tuple[str, ...]:
    return tuple(sorted({tag for one in assertions for tag in one.tags}))

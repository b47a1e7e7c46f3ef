"""From what a source says and what is stored to what has to change. No I/O: a plan is made, others write it.

What comes of many words does not depend on the order they arrive in, nor on how often:

- Of a source's words about an observable the newest holds, by the time of its run. Of two of the same moment, saying
  it prevails over taking it back, and of two sayings the stronger (`_rank`).
- A word that repeats what is stored, of the same day, is not written into the assertion, only noted
  (`IngestPlan.repeated`). Readers of the stored assertions add the notes, so that an older word is known as older.
- The stored score is never news (`is_news`) against the score that the assertions give at the newest moment anything
  was heard of the observable.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from services.observables.scoring import score as scoring
from services.observables.scoring.decay import THRESHOLDS, end_of_day
from services.observables.scoring.inputs import Effects, ObservableState, StoredAssertion
from services.observables.scoring.score import Claim
from shared.events.observables import Change, ChangeKind
from shared.stix.ids import stix_type
from shared.timestamps import parse_timestamp

NEWS: Final = 5
"""A score that moves by less, and across no threshold, is no news: time moves every score a little every day."""


class AssertionData(NamedTuple):
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


class IncomingAssertion(msgspec.Struct, frozen=True, gc=False):
    """One indicator of a source, with its observable's id."""

    id: str
    type: str
    value: str
    word: AssertionData


class AssertingSource(NamedTuple):
    """The source that speaks, and when it saw what it says."""

    id: str
    name: str
    reliability: int
    observed_at: datetime
    kind: str = "stream"
    confirmed_at: datetime | None = None


class ScoreUpdate(NamedTuple):
    """A score and when it has to be looked at again."""

    score: int
    due: datetime | None


class IngestPlan(NamedTuple):
    """What has to be written, and what to announce.

    Attributes:
        created: new observables, with their score; this source is the first to assert them.
        asserted: further observables that this source asserts for the first time.
        reasserted: assertions of this source that differ from what is stored; one that is retracted was said before
            it was taken back, and stays taken back.
        rescored: observables whose score changes, with the new one, or that have to be looked at earlier.
        retracted: ids of observables this source no longer asserts.
        repeated: ids of observables about which the source says, later on the same day, what is stored already.
        widened: ids of observables that the source saw earlier than what is stored, with that moment.
        changes: one per observable that is new or changed for a reader.
    """

    created: list[tuple[IncomingAssertion, ScoreUpdate]]
    asserted: list[IncomingAssertion]
    reasserted: list[IncomingAssertion]
    rescored: list[tuple[str, ScoreUpdate]]
    retracted: list[str]
    repeated: list[str]
    widened: list[tuple[str, datetime]]
    changes: list[Change]


NO_EFFECTS: Final[Effects] = ()


def plan(
    source: AssertingSource,
    said: Iterable[IncomingAssertion],
    gone: Iterable[IncomingAssertion],
    known: Mapping[str, ObservableState],
    effects: Mapping[str, Effects] = MappingProxyType({}),
) -> IngestPlan:
    """Compare what one source says with what is known.

    Args:
        source: who speaks.
        said: its indicators; at most one per observable.
        gone: what it no longer lists, with words that are retracted. One that nobody has heard of is kept as well:
            what the source said before may still arrive, and is over.
        known: what is stored, by observable id.
        effects: what the values of new observables do to their scores, by observable id.
    """
    made = IngestPlan([], [], [], [], [], [], [], [])
    first = _FirstWords(source)
    for one in said:
        before = known.get(one.id)
        if before is None:
            scored = first.score(one, effects.get(one.id, NO_EFFECTS))
            made.created.append((one, scored))
            made.changes.append(_new(one, scored))
        elif not before.own:
            _join(made, source, one, before)
        else:
            _assert(made, source, one, before)
    for one in gone:
        before = known.get(one.id)
        if before is None:
            made.created.append((one, ScoreUpdate(0, None)))
        elif not before.own:
            made.created.append((one, _evaluated(before, before.said, source.observed_at)))
        else:
            _retract(made, source, one, before)
    return made


class _FirstWords:
    """Scores of what nobody said before: a list says the same about most of its lines."""

    def __init__(self, source: AssertingSource) -> None:
        self._source = source
        self._scores: dict[tuple[object, ...], ScoreUpdate] = {}

    def score(self, one: IncomingAssertion, effects: Effects) -> ScoreUpdate:
        # By identity: lines share their word, and hashing what is in it takes longer than scoring. The reasons of
        # effects differ from value to value and count for nothing.
        asked: tuple[object, ...] = (one.type, id(one.word))
        if effects:
            asked += tuple((by.kind, by.name, by.weight, by.until) for by in effects)
        found = self._scores.get(asked)
        if found is None:
            found = self._scores[asked] = evaluate(
                one.type, [_heard(self._source, one.word)], (), effects, self._source.observed_at
            )
        return found


def evaluate(
    type_: str,
    stored: Iterable[StoredAssertion],
    claims: Iterable[Claim],
    effects: Effects,
    now: datetime,
) -> ScoreUpdate:
    """The score at a moment, and when it has to be looked at again."""
    active = [one for one in stored if one.active(now)]
    all_claims = [*(one.claim for one in active), *claims]
    score = scoring.score(type_, all_claims, effects, now)
    ends = [one.valid_until for one in active if one.valid_until is not None]
    untils = (*(one.until for one in all_claims), *(one.until for one in effects))
    ends += [until for until in untils if until is not None and until > now]
    fades = scoring.due(type_, all_claims, effects, now, score)
    return ScoreUpdate(score, min([*ends, *([fades] if fades else [])], default=None))


def _join(
    made: IngestPlan, source: AssertingSource, one: IncomingAssertion, before: ObservableState
) -> None:
    """The tenant's first word about what is public already."""
    said = [_heard(source, one.word), *before.said]
    scored = _evaluated(before, said, source.observed_at)
    made.created.append((one, scored))
    active = [each for each in said if each.active(before.newest(source.observed_at))]
    change = changed(one.id, before, scored.score, active)
    made.changes.append(replace(change, kind="new", score_before=None))


def _evaluated(
    before: ObservableState, said: Iterable[StoredAssertion], at: datetime
) -> ScoreUpdate:
    return evaluate(before.type, said, before.claims, before.effects, before.newest(at))


def _new(one: IncomingAssertion, scored: ScoreUpdate) -> Change:
    return Change(
        f"{stix_type(one.type)}--{one.id}", one.type, one.value, "new", scored.score, None, one.word.tags,
        attack=one.word.attack,
    )  # fmt: skip


def _assert(
    made: IngestPlan, source: AssertingSource, one: IncomingAssertion, before: ObservableState
) -> None:
    mine, now = before.assertions.get(source.id), _heard(source, one.word)
    if mine is None:
        made.asserted.append(one)
        announce(made, one.id, before, {**before.assertions, source.id: now}, source.observed_at)
        return
    # What was taken back since then stays taken back, and it is known what it was.
    over = mine.retracted and source.observed_at < mine.observed_at
    if _is_older(now, mine):
        _widen(made, one, mine, now)
        return
    if (mine.retracted and not over) or _worth_writing(now, mine):
        made.reasserted.append(
            replace(one, word=one.word._replace(retracted=True)) if over else one
        )
    else:
        made.repeated.append(one.id)
        _widen(made, one, mine, now)
        over = over or _is_steady(before, mine, source.observed_at)
    if not over:
        announce(made, one.id, before, {**before.assertions, source.id: now}, source.observed_at)


def _is_older(now: StoredAssertion, mine: StoredAssertion) -> bool:
    """Whether a word is not newer than what the source is known to have said."""
    if mine.said_at is None or now.observed_at > mine.said_at:
        return False
    return now.observed_at < mine.said_at or _rank(now) <= _rank(mine)


def _rank(one: StoredAssertion) -> tuple[Any, ...]:
    """Of two words of the same moment the greater holds, whichever arrives first."""
    ends = (one.valid_until is None, one.valid_until or one.observed_at)
    return (
        one.confidence,
        one.tags,
        one.malware or "",
        ends,
        one.attack,
        end_of_day(one.last_seen),
    )


def stronger(
    source: AssertingSource, one: IncomingAssertion, other: IncomingAssertion
) -> IncomingAssertion:
    """Which of two words of one run about an observable holds, with the earlier of their beginnings."""
    winner = max(one, other, key=lambda said: _rank(_heard(source, said.word)))
    first = min(one.word.first_seen, other.word.first_seen, key=parse_timestamp)
    return replace(winner, word=winner.word._replace(first_seen=first))


def _is_steady(before: ObservableState, mine: StoredAssertion, at: datetime) -> bool:
    """Whether time alone cannot have moved the score: one voice that has not begun to fade, which is the usual case."""
    alone = len(before.said) == 1 and not before.claims and not before.effects
    return alone and mine.valid_until is None and at <= mine.since


def _widen(
    made: IngestPlan, one: IncomingAssertion, mine: StoredAssertion, now: StoredAssertion
) -> None:
    if (
        mine.first_seen is not None
        and now.first_seen is not None
        and now.first_seen < mine.first_seen
    ):
        made.widened.append((one.id, now.first_seen))


def _worth_writing(now: StoredAssertion, mine: StoredAssertion) -> bool:
    """Whether a newer word has to be written: it says something else, or is another day's.

    A stream repeats itself all the time. A snapshot does not: it speaks again of what has changed.
    """
    return (
        mine.said_at is None
        or now.kind == "snapshot"
        or not _same(mine, now)
        or end_of_day(now.observed_at) != end_of_day(mine.said_at)
        or end_of_day(now.last_seen) != end_of_day(mine.last_seen)
    )


def with_repeats(
    known: Mapping[str, ObservableState], notes: Iterable[tuple[str, datetime, bytes]]
) -> None:
    """Adds to what is known the words that were noted and not written.

    Args:
        known: what is stored, by observable id; the assertions in it are replaced.
        notes: source id, time of the run, and the ids (16 bytes each, one after the other) that it repeated.
    """
    places = {bytes.fromhex(identity.replace("-", "")): identity for identity in known}
    for source_id, observed_at, ids in notes:
        for start in range(0, len(ids), 16):
            identity = places.get(ids[start : start + 16])
            mine = known[identity].assertions.get(source_id) if identity else None
            if identity and mine and mine.said_at and observed_at > mine.said_at:
                heard = mine._replace(
                    said_at=observed_at, observed_at=max(observed_at, mine.observed_at)
                )
                known[identity].assertions[source_id] = heard


def noted(ids: Iterable[str]) -> bytes | None:
    """Ids as they are noted, None when there is none."""
    return bytes.fromhex("".join(ids).replace("-", "")) or None


def _heard(source: AssertingSource, word: AssertionData) -> StoredAssertion:
    """A word as it will be stored."""
    return StoredAssertion(
        source.id,
        source.name,
        source.reliability,
        word.confidence,
        word.tags,
        word.malware,
        parse_timestamp(word.valid_until) if word.valid_until else None,
        parse_timestamp(word.last_seen) if word.last_seen else source.observed_at,
        retracted=False,
        observed_at=source.observed_at,
        kind=source.kind,
        confirmed_at=source.confirmed_at,
        attack=word.attack,
        said_at=source.observed_at,
        first_seen=parse_timestamp(word.first_seen),
    )


def _same(mine: StoredAssertion, now: StoredAssertion) -> bool:
    return (
        mine.confidence == now.confidence
        and mine.tags == now.tags
        and mine.malware == now.malware
        and mine.valid_until == now.valid_until
        and mine.attack == now.attack
    )


def _retract(
    made: IngestPlan, source: AssertingSource, one: IncomingAssertion, before: ObservableState
) -> None:
    mine = before.assertions.get(source.id)
    if mine is None:
        made.asserted.append(one)
        mine = _heard(source, one.word)
    elif source.observed_at <= mine.observed_at:
        return
    else:
        made.retracted.append(one.id)
    after = {**before.assertions, source.id: mine._replace(retracted=True)}
    announce(made, one.id, before, after, source.observed_at)


def announce(
    made: IngestPlan,
    identity: str,
    before: ObservableState,
    after: Mapping[str, StoredAssertion],
    at: datetime,
) -> None:
    """Compare before and after as a reader sees them: score, labels, who asserts it.

    Both are seen from the newest moment that anything is known of: a word that arrives late changes what is known now.
    """
    now = before.newest(at)
    was = [one for one in before.said if one.active(before.looked_at or at)]
    active = [one for one in (*after.values(), *before.public) if one.active(now)]
    scored = evaluate(before.type, active, before.claims, before.effects, now)
    if _view(was) != _view(active) or is_news(before.score, scored.score):
        made.rescored.append((identity, scored))
        made.changes.append(changed(identity, before, scored.score, active))
    elif scored.due is not None and (before.due is None or scored.due < before.due):
        made.rescored.append((identity, scored._replace(score=before.score)))


def is_news(before: int, after: int) -> bool:
    """Whether a score has moved far enough to be told."""
    crossed = any((before >= threshold) != (after >= threshold) for threshold in THRESHOLDS)
    return crossed or abs(after - before) >= NEWS


def changed(
    identity: str, before: ObservableState, score: int, active: list[StoredAssertion]
) -> Change:
    """The announcement of a change; `active` are the assertions that hold after it."""
    lapsed = score < THRESHOLDS[-1] <= before.score
    kind: ChangeKind = "expired" if lapsed or not (active or before.claims) else "changed"
    name = f"{stix_type(before.type)}--{identity}"
    tags, attack = _labels(active), techniques(active)
    return Change(
        name, before.type, before.value, kind, score, before.score, tags, len(active), attack
    )


def _view(
    assertions: list[StoredAssertion],
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    return (
        _labels(assertions),
        techniques(assertions),
        frozenset(one.source_id for one in assertions),
    )


def techniques(assertions: Iterable[StoredAssertion]) -> tuple[str, ...]:
    """ATT&CK ids that any of the assertions stands for."""
    return tuple(sorted({one for said in assertions for one in said.attack}))


def _labels(assertions: list[StoredAssertion]) -> tuple[str, ...]:
    return tuple(sorted({tag for one in assertions for tag in one.tags}))

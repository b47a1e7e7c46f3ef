"""Plan what a source's reports change in what is stored. No I/O: others write the plan.

The outcome of many reports does not depend on their order, nor on how often they arrive:

- Of a source's reports about an observable the newest holds, by the time of its run. Of two of the
  same moment an assertion prevails over a retraction, and the stronger of two assertions (`_rank`).
- A report that only repeats what is stored (`_can_be_noted`) is not written into the assertion, but
  noted (`IngestPlan.repeated`). Readers of the stored assertions add the notes (`add_repeats`), so
  that an older report is recognised as older.
- The stored score is never news (`is_news`) against the score of the assertions at the newest
  moment that anything is stored about the observable.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace

from services.observables.scoring.decay import end_of_day
from services.observables.scoring.inputs import (
    Effects,
    ObservableState,
    ScoreUpdate,
    StoredAssertion,
    evaluate,
)
from services.observables.store.changes import (
    ChangeLabels,
    attack_ids,
    build_change,
    is_news,
    labels,
    labels_of_report,
    new_change,
)
from services.observables.store.incoming import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
)
from services.observables.store.shared_outcomes import SharedOutcomes, empty_plan
from shared.stix.markings import STRICTNESS, marking_of

NO_EFFECTS: Final[Effects] = ()


def build_plan(
    source: AssertingSource,
    asserted: Iterable[IncomingAssertion],
    retracted: Iterable[IncomingAssertion],
    states: Mapping[str, ObservableState],
    effects: Mapping[str, Effects] = MappingProxyType({}),
) -> IngestPlan:
    """Compare what one source reports with what is stored.

    Args:
        source: the source, and the time of its run.
        asserted: its indicators; at most one per observable.
        retracted: what it no longer lists. A retraction of an observable that is not stored is
            stored as well: an earlier report of the source may still arrive, and is over.
        states: what is stored, by observable id.
        effects: what the values of new observables do to their scores, by observable id.
    """
    plan = empty_plan()
    first_scores = _FirstScores(source)
    assertions = SharedOutcomes(plan, source, _assert)
    retractions = SharedOutcomes(plan, source, _retract)
    for assertion in asserted:
        state = states.get(assertion.id)
        if state is None:
            data = assertion.data
            scored = first_scores.score(assertion, effects.get(assertion.id, NO_EFFECTS))
            plan.created.append((assertion, scored))
            plan.changes.append(
                new_change(
                    assertion.id,
                    assertion.type,
                    assertion.value,
                    scored.score,
                    first_scores.labels(data),
                )
            )
        elif not state.own:
            _join_public(plan, source, assertion, state)
        else:
            assertions.add(assertion, state)
    for assertion in retracted:
        state = states.get(assertion.id)
        if state is None:
            plan.created.append((assertion, ScoreUpdate(0, None)))
        elif not state.own:
            plan.created.append((assertion, state.evaluate(state.newest(source.observed_at))))
        else:
            retractions.add(assertion, state)
    return plan


class _FirstScores:
    """Scores and labels of new observables, shared: most lines of a list report the same."""

    def __init__(self, source: AssertingSource) -> None:
        self._source = source
        self._scores: dict[tuple[object, ...], ScoreUpdate] = {}
        self._labels: dict[int, ChangeLabels] = {}

    def labels(self, data: AssertionData) -> ChangeLabels:
        """What a change says of a new observable that only this source reports."""
        shared = self._labels.get(id(data))
        if shared is None:
            shared = labels_of_report(data.tags, data.attack, self._source.tlp)
            self._labels[id(data)] = shared
        return shared

    def score(self, assertion: IncomingAssertion, effects: Effects) -> ScoreUpdate:
        # By identity: lines share their data, and hashing its fields takes longer than scoring. The
        # reasons of effects differ from value to value and count for nothing.
        key: tuple[object, ...] = (assertion.type, id(assertion.data))
        if effects:
            key += tuple(
                (effect.kind, effect.name, effect.weight, effect.until) for effect in effects
            )
        scored = self._scores.get(key)
        if scored is None:
            stored = self._source.stored(assertion.data)
            scored = evaluate(assertion.type, [stored], (), effects, self._source.observed_at)
            self._scores[key] = scored
        return scored


def _join_public(
    plan: IngestPlan, source: AssertingSource, assertion: IncomingAssertion, state: ObservableState
) -> None:
    """Plan the tenant's first report about an observable that is only public."""
    now = state.newest(source.observed_at)
    assertions = [source.stored(assertion.data), *state.all_assertions]
    scored = evaluate(state.type, assertions, state.claims, state.effects, now, state.seen)
    active = [row for row in assertions if row.active(now)]
    plan.created.append((assertion, scored))
    plan.changes.append(build_change(assertion.id, None, state, scored.score, active, now))


def _assert(
    plan: IngestPlan, source: AssertingSource, assertion: IncomingAssertion, state: ObservableState
) -> None:
    stored = state.assertions.get(source.id)
    fresh = source.stored(assertion.data)
    if stored is None:
        plan.asserted.append(assertion)
        plan.altered.append(assertion.id)
        _update(plan, source, assertion.id, state, fresh)
        return
    # What was retracted since this report stays retracted; only its data becomes known.
    is_over = stored.retracted and source.observed_at < stored.updated_at
    if _is_older(fresh, stored):
        _widen(plan, assertion.id, stored, fresh)
        return
    is_steady = False
    is_noted = _can_be_noted(source, assertion.data, fresh, stored)
    if (stored.retracted and not is_over) or not is_noted:
        data = assertion.data._replace(retracted=True) if is_over else assertion.data
        plan.reasserted.append(replace(assertion, data=data))
        if not is_over and (stored.retracted or not _is_same(stored, fresh)):
            plan.altered.append(assertion.id)
    else:
        plan.repeated.append(assertion.id)
        _widen(plan, assertion.id, stored, fresh)
        is_steady = _is_steady(state, stored, source.observed_at)
    if not is_over and not is_steady:
        _update(plan, source, assertion.id, state, fresh)


def _is_older(fresh: StoredAssertion, stored: StoredAssertion) -> bool:
    """Whether a report is not newer than the stored one of its source."""
    asserted_at = stored.asserted_at
    if asserted_at is None or fresh.observed_at > asserted_at:
        return False
    return fresh.observed_at < asserted_at or _rank(fresh) <= _rank(stored)


def _rank(assertion: StoredAssertion) -> tuple[Any, ...]:
    """Of two reports of the same moment the greater holds, whichever arrives first.

    A marking binds: what is marked more strictly comes before what is surer.
    """
    valid_until = assertion.valid_until
    return (
        STRICTNESS.get(marking_of(tuple(assertion.tags)) or "clear", 0),
        assertion.confidence,
        assertion.tags,
        assertion.malware or "",
        (valid_until is None, valid_until or assertion.observed_at),
        assertion.attack,
        end_of_day(assertion.last_seen),
    )


def stronger(
    source: AssertingSource, first: IncomingAssertion, second: IncomingAssertion
) -> IncomingAssertion:
    """The one of two reports of a run that holds, with the earlier `first_seen` of both."""
    winner = max(first, second, key=lambda assertion: _rank(source.stored(assertion.data)))
    first_seen = min(first.data.first_seen, second.data.first_seen)
    return replace(winner, data=winner.data._replace(first_seen=first_seen))


def _is_steady(state: ObservableState, stored: StoredAssertion, at: datetime) -> bool:
    """Whether time alone cannot have moved the score, which is the usual case.

    There is one claim, and it has not begun to fade.
    """
    is_alone = len(state.all_assertions) == 1 and not state.claims and not state.effects
    return is_alone and stored.valid_until is None and at <= stored.fades_from


def _widen(
    plan: IngestPlan, identity: str, stored: StoredAssertion, fresh: StoredAssertion
) -> None:
    if fresh.first_seen < stored.first_seen:
        plan.widened.append((identity, fresh.first_seen))


def _can_be_noted(
    source: AssertingSource, data: AssertionData, fresh: StoredAssertion, stored: StoredAssertion
) -> bool:
    """Whether a newer report only repeats what is stored, so that it need not be written.

    A stream repeats itself all the time; what it says on another day counts for that day. A
    snapshot reports again what has changed, unless the run says everything again. The stored
    assertion of a snapshot holds as long as the list is confirmed.
    """
    asserted_at = stored.asserted_at
    if asserted_at is None or not _is_same(stored, fresh):
        return False
    if fresh.kind == "snapshot":
        is_seen_then = data.last_seen is None or data.last_seen == stored.last_seen
        is_fresh = stored.is_dated or source.observed_at <= stored.confirmed_until
        return source.is_repetition and is_seen_then and is_fresh
    is_same_day = end_of_day(fresh.observed_at) == end_of_day(asserted_at)
    return is_same_day and end_of_day(fresh.last_seen) == end_of_day(stored.last_seen)


def _is_same(stored: StoredAssertion, fresh: StoredAssertion) -> bool:
    return (
        stored.confidence == fresh.confidence
        and stored.tags == fresh.tags
        and stored.malware == fresh.malware
        and stored.valid_until == fresh.valid_until
        and stored.attack == fresh.attack
    )


def _retract(
    plan: IngestPlan, source: AssertingSource, assertion: IncomingAssertion, state: ObservableState
) -> None:
    stored = state.assertions.get(source.id)
    if stored is None:
        plan.asserted.append(assertion)
        stored = source.stored(assertion.data)
    elif source.observed_at <= stored.updated_at:
        return
    else:
        plan.retracted.append(assertion.id)
    retracted = stored._replace(retracted_at=source.observed_at)
    _update(plan, source, assertion.id, state, retracted)


def _update(
    plan: IngestPlan,
    source: AssertingSource,
    identity: str,
    state: ObservableState,
    fresh: StoredAssertion,
) -> None:
    """Compare an observable before and after a report as a reader sees it, and plan the difference.

    Both are seen from the newest moment that anything is stored about: a report that arrives late
    changes what is known now.
    """
    at = source.observed_at
    now = state.newest(at)
    before = state.active(state.scored_at or at)
    after = {**state.assertions, source.id: fresh}
    active = [row for row in (*after.values(), *state.public) if row.active(now)]
    scored = evaluate(state.type, active, state.claims, state.effects, now, state.seen)
    if _reader_view(before) != _reader_view(active) or is_news(state.score, scored.score):
        plan.rescored.append((identity, scored))
        plan.changes.append(build_change(identity, state, state, scored.score, active, now))
    elif scored.due is not None and (state.due is None or scored.due < state.due):
        plan.rescored.append((identity, scored._replace(score=state.score)))


def _reader_view(
    assertions: Sequence[StoredAssertion],
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """What a reader sees of assertions beside the score: tags, ATT&CK ids and sources."""
    return (
        labels(assertions),
        attack_ids(assertions),
        frozenset(assertion.source_id for assertion in assertions),
    )

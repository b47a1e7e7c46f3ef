"""The naive model of what sources say.

It knows nothing of plans, notes or rows: it has everything that was said before it, and asks, for each value and
source, which word is the newest.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from services.observables.scoring.decay import end_of_day
from services.observables.scoring.inputs import StoredAssertion
from services.observables.store.plan import AssertingSource, AssertionData

Outcome = dict[str, dict[str, StoredAssertion]]


class Spoken(NamedTuple):
    """What a source said about a value; None when it took it back."""

    source: AssertingSource
    value: str
    word: AssertionData | None


def written(source: AssertingSource, word: AssertionData, *, over: bool = False) -> StoredAssertion:
    """A word as a row that holds it."""
    return StoredAssertion(
        tenant=source.tenant,
        source=source.name,
        source_id=source.id,
        tlp=source.tlp,
        first_seen=word.first_seen,
        reliability=source.reliability,
        confidence=word.confidence,
        tags=word.tags,
        attack=word.attack,
        malware=word.malware,
        last_seen=word.last_seen or source.observed_at,
        valid_until=word.valid_until,
        retracted_at=source.observed_at if over else None,
        kind=source.kind,
        confirmed_at=source.confirmed_at,
        observed_at=source.observed_at,
    )


def outcome(history: Iterable[Spoken]) -> Outcome:
    """What each source says about each value in the end, by value and source."""
    by_both = defaultdict[tuple[str, str], list[Spoken]](list)
    for one in history:
        by_both[one.value, one.source.id].append(one)
    found = defaultdict[str, dict[str, StoredAssertion]](dict)
    for (value, source), spoken in by_both.items():
        found[value][source] = _end(spoken)
    return found


def _end(spoken: list[Spoken]) -> StoredAssertion:
    said = [written(one.source, one.word) for one in spoken if one.word is not None]
    over = [one.source for one in spoken if one.word is None]
    if not said:
        last = max(over, key=lambda source: source.observed_at)
        return written(last, AssertionData(0, (), None, last.observed_at, None), over=True)
    newest = max(said, key=lambda one: (one.observed_at, _strength(one)))
    newest = newest._replace(first_seen=min(one.first_seen for one in said))
    ends = [source.observed_at for source in over if source.observed_at > newest.observed_at]
    return newest._replace(retracted_at=max(ends)) if ends else newest


def _strength(said: StoredAssertion) -> tuple[Any, ...]:
    ends = (said.valid_until is None, said.valid_until or said.observed_at)
    return (
        said.confidence,
        said.tags,
        said.malware or "",
        ends,
        said.attack,
        end_of_day(said.last_seen),
    )


def promised(assertions: dict[str, StoredAssertion]) -> dict[str, StoredAssertion]:
    """Assertions as far as they are promised: what a stream repeats on one day is one moment, the end of that day."""
    return {
        source: one
        if one.kind == "snapshot"
        else one._replace(
            last_seen=end_of_day(one.last_seen),
            # Only a retraction has the exact time of its run.
            observed_at=end_of_day(one.asserted_at) if one.asserted_at else one.observed_at,
        )
        for source, one in assertions.items()
    }

"""The naive model of what sources report.

It knows nothing of plans, notes or rows: it has every report before it, and looks up, for each
value and source, which is the newest.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from services.observables.scoring.decay import end_of_day
from services.observables.scoring.inputs import StoredAssertion
from services.observables.store.incoming import AssertingSource, AssertionData

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
    for report in history:
        by_both[report.value, report.source.id].append(report)
    outcomes = defaultdict[str, dict[str, StoredAssertion]](dict)
    for (value, source), reports in by_both.items():
        outcomes[value][source] = _end(reports)
    return outcomes


def _end(reports: list[Spoken]) -> StoredAssertion:
    asserted = [
        written(report.source, report.word) for report in reports if report.word is not None
    ]
    over = [report.source for report in reports if report.word is None]
    if not asserted:
        last = max(over, key=lambda source: source.observed_at)
        return written(last, AssertionData(0, (), None, last.observed_at, None), over=True)
    newest = max(asserted, key=lambda report: (report.observed_at, _strength(report)))
    newest = newest._replace(first_seen=min(report.first_seen for report in asserted))
    ends = [source.observed_at for source in over if source.observed_at > newest.observed_at]
    return newest._replace(retracted_at=max(ends)) if ends else newest


def _strength(assertion: StoredAssertion) -> tuple[Any, ...]:
    ends = (assertion.valid_until is None, assertion.valid_until or assertion.observed_at)
    return (
        assertion.confidence,
        assertion.tags,
        assertion.malware or "",
        ends,
        assertion.attack,
        end_of_day(assertion.last_seen),
    )


def promised(assertions: dict[str, StoredAssertion]) -> dict[str, StoredAssertion]:
    """Assertions as far as they are promised: the reports of a stream on one day are of its end."""
    return {
        source: assertion
        if assertion.kind == "snapshot"
        else assertion._replace(
            last_seen=end_of_day(assertion.last_seen),
            # Only a retraction has the exact time of its run.
            observed_at=end_of_day(assertion.asserted_at)
            if assertion.asserted_at
            else assertion.observed_at,
        )
        for source, assertion in assertions.items()
    }

"""What three numbers say about an observable: whether it was ever bad, is now, and concerns us.

No I/O.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from services.observables.scoring import score as scoring
from services.observables.scoring.claims import Claim, Contribution, Effect, Verdict
from services.observables.scoring.decay import CONTENT, Curve
from services.observables.scoring.inputs import SightingRow, StoredAssertion, renewed, seen_times
from services.observables.scoring.score import VULNERABILITY, contributions, total

_RELEVANCE: Final = Curve(180, 0.5)
"""How sightings here lose their relevance."""
_ALIVE: Final = 50
"""The least activity of what a sentence calls active."""
_WORDS: Final[dict[Verdict, str]] = {
    "malicious": "Malicious",
    "suspicious": "Suspicious",
    "weak": "Weak signs",
    "none": "No sign of harm",
}


class Assessment(msgspec.Struct, frozen=True):
    """The three numbers behind a verdict, and the sentence that they make."""

    malicious: Annotated[int, Meta(description="how sure it is that it was ever bad, 0 to 100")]
    active: Annotated[int, Meta(description="how sure it is that it is bad now, 0 to 100")]
    relevant: Annotated[int, Meta(description="how much it was seen here lately, 0 to 100")]
    sources: Annotated[int, Meta(description="how many sources, people and enrichers claim it")]
    independent: Annotated[
        float, Meta(description="how many independent witnesses these are worth")
    ]
    sentence: str


class AssessmentParts(msgspec.Struct):
    """The contributions that add up to each of the three numbers."""

    malicious: list[Contribution]
    active: list[Contribution]
    relevant: list[Contribution]


class AssessedScore(NamedTuple):
    """The contributions to a score, and to the three numbers behind it."""

    contributions: list[Contribution]
    numbers: AssessmentParts


def assessed_score(
    type_: str,
    assertions: Iterable[StoredAssertion],
    reported: Sequence[Claim],
    effects: Sequence[Effect],
    sightings: Sequence[SightingRow],
    now: datetime,
) -> AssessedScore:
    """The parts of the score and of the three numbers at a moment.

    One of the numbers is the score, and as long as nothing fades or has lapsed, two are: they share
    their parts.

    Args:
        type_: the observable's.
        assertions: all of them. Whether it was ever bad does not end with the time for which a
            source vouches; what a source has retracted counts for nothing.
        reported: the claims of confirmations and of remote enrichers.
        effects: the effects.
        sightings: all sightings.
        now: the moment.
    """
    standing = [row for row in assertions if row.retracted_at is None]
    active_rows = [row for row in standing if row.active(now)]
    holding = [row.claim for row in active_rows]
    holding += reported
    seen = seen_times(sightings) if sightings else ()
    if seen:
        holding = renewed(type_, holding, seen)
    score_parts = contributions(type_, holding, effects, now)
    is_fresh = all(claim.since >= now for claim in holding)
    has_lapsed = len(active_rows) < len(standing) or any(claim.until for claim in reported)
    is_content = type_ in CONTENT
    active = score_parts
    if is_content and not is_fresh:
        active = contributions(type_, holding, effects, now, is_activity=True)
    malicious = score_parts
    if has_lapsed or not (is_content or is_fresh):
        memory = [row.claim for row in standing]
        memory += [claim._replace(until=None) for claim in reported]
        if seen:
            memory = renewed(type_, memory, seen)
        malicious = contributions(type_, memory, effects, now, is_memory=True)
    relevant = relevance(sightings, now) if sightings else []
    return AssessedScore(score_parts, AssessmentParts(malicious, active, relevant))


class OtherNumbers(NamedTuple):
    """The three numbers, each only where it is not what the score tells: None otherwise."""

    malicious: int | None = None
    active: int | None = None
    relevant: int | None = None


_AS_THE_SCORE: Final = OtherNumbers()
_FRESH: Final = timedelta(days=1)


def other_numbers(
    type_: str,
    score: int,
    assertions: Sequence[StoredAssertion],
    reported: Sequence[Claim],
    effects: Sequence[Effect],
    sightings: Sequence[SightingRow],
    now: datetime,
) -> OtherNumbers:
    """The three numbers of a change, beside its score; for the arguments see `assessed_score`.

    Claims of the last day have not faded: nearly all that a feed brings is as its score says.
    """
    since = [*(row.fades_from for row in assertions), *(claim.since for claim in reported)]
    has_lapsed = any(claim.until is not None and claim.until <= now for claim in reported)
    is_fresh = not has_lapsed and min(since, default=now) >= now - _FRESH
    if not sightings and type_ != VULNERABILITY and is_fresh:
        return _AS_THE_SCORE
    parts = assessed_score(type_, assertions, reported, effects, sightings, now).numbers
    malicious = total(parts.malicious)
    active = total(parts.active)
    return OtherNumbers(
        None if malicious == score else malicious,
        None if active == score else active,
        total(parts.relevant) or None,
    )


def relevance(sightings: Iterable[SightingRow], now: datetime) -> list[Contribution]:
    """The parts of the relevance: each place where it was seen, the one that counts most first."""
    by_place: dict[str, list[SightingRow]] = {}
    for report in sightings:
        if report.kind == "seen":
            by_place.setdefault(report.place, []).append(report)
    weighed = []
    for place, reports in by_place.items():
        count = sum(report.times for report in reports)
        last = max(report.last_seen for report in reports)
        reporters = len({report.actor for report in reports})
        reason = (
            f"seen {_counted(count, 'time')} by {_counted(reporters, 'reporter')}, "
            f"last {last:%Y-%m-%d %H:%M}"
        )
        left = _RELEVANCE.left(now - last)
        weighed.append((scoring.sighting_weight(count), left, place or "no place given", reason))
    weighed.sort(key=lambda part: (-part[0] * part[1], part[2]))
    parts = []
    doubt = 1.0
    for weight, left, place, reason in weighed:
        points = 100 * doubt * weight * left
        parts.append(Contribution("sighting", place, weight, left, points, reason))
        doubt *= 1 - weight * left
    return parts


def assess(type_: str, score: int, parts: AssessmentParts) -> Assessment:
    """The three numbers, the witnesses behind them, and the sentence that they make.

    Args:
        type_: the observable's.
        score: the score that the verdict follows from.
        parts: of the numbers.
    """
    names: set[tuple[str, str]] = set()
    independent = 0.0
    for part in parts.malicious:
        if part.kind in _CLAIMING and part.weight > 0:
            names.add((part.kind, part.name))
            independent += part.share if part.points > 0 else 0.0
    lowering = min(parts.active, key=_points, default=None)
    reason = lowering.reason if lowering is not None and lowering.points < 0 else ""
    malicious = total(parts.malicious)
    figures = _Figures(
        malicious,
        malicious if parts.active is parts.malicious else total(parts.active),
        total(parts.relevant) if parts.relevant else 0,
        len(names),
        round(independent, 1),
        reason,
        len(parts.relevant),
    )
    return _assessment(type_, score, figures)


class _Figures(NamedTuple):
    """The three numbers, and what the sentence tells of the parts behind them."""

    malicious: int
    active: int
    relevant: int
    sources: int
    independent: float
    lowering: str
    places: int


_CLAIMING: Final = frozenset({"source", "confirmation", "enrichment"})
_points: Final = attrgetter("points")


@lru_cache(maxsize=65_536)
def _assessment(type_: str, score: int, figures: _Figures) -> Assessment:
    """The assessment of some figures: many observables have the same."""
    malicious, active, relevant, sources, independent, lowering, places = figures
    clauses = []
    if not sources:
        clauses.append("nobody claims that it is bad")
    elif type_ == VULNERABILITY:
        clauses.append(f"exploitation rests on the strongest of {_counted(sources, 'claim')}")
    else:
        clauses.append(f"{_counted(sources, 'source')}, {independent:g} independent")
        clauses.append(_activity(type_, score, active))
    if lowering:
        clauses.append(f"lowered because {lowering.rstrip('.')}")
    clauses.append(f"seen here at {_counted(places, 'place')}" if places else "not seen here")
    sentence = f"{_WORDS[scoring.verdict(score)]} ({score}): {'; '.join(clauses)}."
    return Assessment(malicious, active, relevant, sources, independent, sentence)


def _activity(type_: str, score: int, active: int) -> str:
    if active >= _ALIVE:
        return "active now"
    if type_ in CONTENT and score > active:
        return "not active lately, and still what it was"
    return "hardly active now" if active else "not active now"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""The score: how sure we are that an observable is bad, from who says so, how sure each is, and what speaks against it.

A source that is right in `reliability` of 100 cases and is `confidence` per cent sure leaves a doubt of
1 - reliability * confidence / 10,000. Independent doubts multiply (the noisy-or of probabilistic reasoning, Pearl 1988,
§4.3.2), and what is left of certainty is the score: a second voice raises it, none can lower another's. Each voice
fades with time (`decay`). Then come effects: what is known about the value itself closes a share of the doubt that is
left, or takes a share of the score away (an allow-list, a private range, a report of a false positive).

Every part is a contribution with its points, and the score is their sum, rounded: `explain` shows them, and `total`
is the one place where they are added up.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from services.observables.scoring.decay import THRESHOLDS, curve_of, next_crossing

Kind = Literal["source", "sighting", "enrichment", "allow-list", "false-positive"]
Verdict = Literal["malicious", "suspicious", "weak", "none"]


class Claim(NamedTuple):
    """One voice that says an observable is bad.

    Attributes:
        name: who says so.
        weight: 0 to 1, its probability alone and undiminished.
        since: when it begins to fade.
        reason: one sentence for people.
        until: when it does not count any more, where that is not a matter of fading.
    """

    kind: Kind
    name: str
    weight: float
    since: datetime
    reason: str = ""
    until: datetime | None = None


class Effect(NamedTuple):
    """What is known about the value itself, and what that does to the score.

    Attributes:
        weight: 0 to 1 closes that share of the doubt that is left; -1 to 0 takes that share of the score away.
        until: when it does not count any more.
    """

    kind: Kind
    name: str
    weight: float
    reason: str = ""
    until: datetime | None = None


class Contribution(msgspec.Struct, frozen=True):
    """One part of a score."""

    kind: Kind
    name: str
    weight: Annotated[
        float,
        Meta(description="alone, -1 to 1: raises when positive, lowers when negative"),
    ]
    left: Annotated[float, Meta(description="what time has left of it, 0 to 1")]
    points: Annotated[
        float, Meta(description="added after the parts before it; the sum is the score")
    ]
    reason: str


def source_weight(reliability: int, confidence: int) -> float:
    """A source's word as a probability."""
    return reliability * confidence / 10_000


def contributions(
    type_: str, claims: Iterable[Claim], effects: Iterable[Effect], now: datetime
) -> list[Contribution]:
    """The parts of a score at a moment: voices first, the strongest of them first, then effects.

    Without a voice there is no score for an effect to change. What does not count any more is no part.
    """
    curve = curve_of(type_)
    claims = (claim for claim in claims if claim.until is None or claim.until > now)
    effects = [effect for effect in effects if effect.until is None or effect.until > now]
    faded = [
        (claim.weight * (left := curve.left(now - claim.since)), left, claim) for claim in claims
    ]
    faded.sort(key=lambda one: (-one[0], one[2].kind, one[2].name))
    parts, doubt = [], 1.0
    for weight, left, claim in faded:
        parts.append(
            Contribution(
                claim.kind, claim.name, claim.weight, left, 100 * doubt * weight, claim.reason
            )
        )
        doubt *= 1 - weight
    points, spoken = 100 * (1 - doubt), bool(parts)
    # What raises comes before what lowers: otherwise a look-alike name would win back what an allow-list took.
    for effect in sorted(effects, key=lambda one: (one.weight < 0, one.kind, one.name)):
        change = (
            effect.weight * ((100 - points) if effect.weight > 0 else points) if spoken else 0.0
        )
        parts.append(
            Contribution(effect.kind, effect.name, effect.weight, 1.0, change, effect.reason)
        )
        points += change
    return parts


def total(parts: Iterable[Contribution]) -> int:
    """The score that contributions add up to, 0 to 100."""
    return round(min(max(sum(part.points for part in parts), 0.0), 100.0))


def score(type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime) -> int:
    """The score at a moment, 0 to 100."""
    if not claims:
        return 0
    if len(claims) == 1 and not effects and claims[0].until is None:  # most of what feeds say
        (claim,) = claims
        return round(100 * claim.weight * curve_of(type_).left(now - claim.since))
    return total(contributions(type_, claims, effects, now))


def due(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime, known: int
) -> datetime | None:
    """When the score, which is `known` now, may have fallen below a threshold and has to be looked at again."""
    claims = [claim for claim in claims if claim.until is None or claim.until > now]
    effects = [effect for effect in effects if effect.until is None or effect.until > now]
    if not claims:
        return None
    factor, doubt = 1.0, 1.0
    for effect in effects:
        if effect.weight < 0:
            factor *= 1 + effect.weight
        else:
            doubt *= 1 - effect.weight
    weights = tuple(claim.weight for claim in claims)
    since = min(claim.since for claim in claims)
    if doubt < 1.0:
        weights = (*weights, 1 - doubt)
    found = next_crossing(type_, weights, factor, since, known)
    if found is None or found > now:
        return found
    return _search(type_, claims, effects, now, known)


def _search(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime, known: int
) -> datetime | None:
    """The crossing to a second, where the bound of `next_crossing` has passed already."""
    below = next(threshold for threshold in THRESHOLDS if threshold <= known)
    low, high = now, max(claim.since + curve_of(type_).until(0.0) for claim in claims)
    if score(type_, claims, effects, high) >= below:
        return None
    while (high - low).total_seconds() > 1:
        middle = low + (high - low) / 2
        low, high = (
            (middle, high) if score(type_, claims, effects, middle) >= below else (low, middle)
        )
    return high


_VERDICTS: Final[tuple[tuple[int, Verdict], ...]] = (
    (80, "malicious"),
    (50, "suspicious"),
    (20, "weak"),
)


def verdict(points: int) -> Verdict:
    """A score in one word."""
    return next((word for least, word in _VERDICTS if points >= least), "none")


def sighting_weight(count: int) -> float:
    """Seen once is a third of a proof, seen often nearly one: 1 - 2/3 · 0.8^(count - 1), at most 0.9."""
    return min(0.9, 1 - 2 / 3 * 0.8 ** (min(count, 50) - 1)) if count > 0 else 0.0


def false_positive_weight(count: int) -> float:
    """What reports of a false positive take away: half for one, three quarters for two, at most 0.95."""
    return -min(0.95, 1 - 0.5 ** min(count, 10)) if count > 0 else 0.0

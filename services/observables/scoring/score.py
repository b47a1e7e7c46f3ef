"""The score: how sure it is that an observable is bad.

It follows from who claims so, how sure each is, and what speaks against it. A source that is right
in `reliability` of 100 cases and is `confidence` per cent sure leaves a doubt of
1 - reliability * confidence / 10,000. Independent doubts multiply (the noisy-or of probabilistic
reasoning, Pearl 1988, §4.3.2), and what is left of certainty is the score: a second claim raises
it, none can lower another's. Each claim fades with time (`decay`). Then come effects: what is known
about the value itself closes a share of the doubt that is left, or takes a share of the score away
(an allow-list, a private range, a report of a false positive).

Every part is a contribution with its points, and the score is their sum, rounded: `explain` shows
them, and `total` is the one place where they are added up.
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
    """A claim that an observable is bad.

    Attributes:
        name: the source, the place of a sighting, or the enricher.
        weight: 0 to 1, its probability alone and undiminished.
        since: when it begins to fade.
        reason: one sentence for people.
        until: when it stops counting, if that is not a matter of fading.
    """

    kind: Kind
    name: str
    weight: float
    since: datetime
    reason: str = ""
    until: datetime | None = None


class Effect(NamedTuple):
    """A fact about the value itself, and its effect on the score.

    Attributes:
        weight: 0 to 1 closes that share of the doubt that is left; -1 to 0 takes that share of the
            score away.
        until: when it stops counting.
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
    """The assertion of a source as a probability."""
    return reliability * confidence / 10_000


def contributions(
    type_: str, claims: Iterable[Claim], effects: Iterable[Effect], now: datetime
) -> list[Contribution]:
    """The parts of a score at a moment: claims first, the strongest of them first, then effects.

    Without a claim there is no score for an effect to change. Parts that stopped counting are left
    out.
    """
    curve = curve_of(type_)
    faded = []
    for claim in claims:
        if claim.until is None or claim.until > now:
            left = curve.left(now - claim.since)
            faded.append((claim.weight * left, left, claim))
    faded.sort(key=lambda part: (-part[0], part[2].kind, part[2].name))
    parts: list[Contribution] = []
    doubt = 1.0
    for weight, left, claim in faded:
        added = 100 * doubt * weight
        parts.append(Contribution(claim.kind, claim.name, claim.weight, left, added, claim.reason))
        doubt *= 1 - weight
    points = 100 * (1 - doubt)
    is_claimed = bool(parts)
    counting = [effect for effect in effects if effect.until is None or effect.until > now]
    # Effects that raise come before those that lower: otherwise a look-alike name would win back
    # what an allow-list took.
    for effect in sorted(counting, key=lambda part: (part.weight < 0, part.kind, part.name)):
        change = 0.0
        if is_claimed:
            change = effect.weight * ((100 - points) if effect.weight > 0 else points)
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
    if len(claims) == 1 and not effects and claims[0].until is None:  # as most feeds give it
        (claim,) = claims
        return round(100 * claim.weight * curve_of(type_).left(now - claim.since))
    return total(contributions(type_, claims, effects, now))


def due(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime, current: int
) -> datetime | None:
    """When a score may have fallen below a threshold, and has to be computed again.

    Args:
        type_: the observable's.
        claims: the claims.
        effects: the effects.
        now: the moment.
        current: the score at that moment.
    """
    claims = [claim for claim in claims if claim.until is None or claim.until > now]
    effects = [effect for effect in effects if effect.until is None or effect.until > now]
    if not claims:
        return None
    factor = 1.0
    doubt = 1.0
    for effect in effects:
        if effect.weight < 0:
            factor *= 1 + effect.weight
        else:
            doubt *= 1 - effect.weight
    weights = tuple(claim.weight for claim in claims)
    since = min(claim.since for claim in claims)
    if doubt < 1.0:
        weights = (*weights, 1 - doubt)
    crossing = next_crossing(type_, weights, factor, since, current)
    if crossing is None or crossing > now:
        return crossing
    return _search_crossing(type_, claims, effects, now, current)


def _search_crossing(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime, current: int
) -> datetime | None:
    """The crossing to a second, for when the early bound of `next_crossing` has passed already."""
    threshold = next(threshold for threshold in THRESHOLDS if threshold <= current)
    low = now
    high = max(claim.since + curve_of(type_).until(0.0) for claim in claims)
    if score(type_, claims, effects, high) >= threshold:
        return None
    while (high - low).total_seconds() > 1:
        middle = low + (high - low) / 2
        if score(type_, claims, effects, middle) >= threshold:
            low = middle
        else:
            high = middle
    return high


_VERDICTS: Final[tuple[tuple[int, Verdict], ...]] = (
    (80, "malicious"),
    (50, "suspicious"),
    (20, "weak"),
)


def verdict(points: int) -> Verdict:
    """A score in one word."""
    return next((verdict for least, verdict in _VERDICTS if points >= least), "none")


def sighting_weight(count: int) -> float:
    """Once is a third of a proof, often is nearly one: 1 - 2/3 · 0.8^(count - 1), at most 0.9."""
    return min(0.9, 1 - 2 / 3 * 0.8 ** (min(count, 50) - 1)) if count > 0 else 0.0


def false_positive_weight(count: int) -> float:
    """Minus the share that reports of a false positive take: 0.5, 0.75, at most 0.95."""
    return -min(0.95, 1 - 0.5 ** min(count, 10)) if count > 0 else 0.0

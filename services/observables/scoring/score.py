"""The score: how sure it is that an observable is bad, from those who claim so.

A source that is right in `reliability` of 100 cases and is `confidence` per cent sure leaves a
doubt of 1 - reliability * confidence / 10,000. The doubts of independent witnesses multiply, and
what is left of certainty is the score; `independence` says how far they are independent. Sources
that nobody can rely on are limited together. Each claim fades with time (`decay`). Then come
effects: what is known about the value itself closes a share of the doubt that is left, or takes a
share of the score away. A report of a false positive reduces the claims that are not newer.

Every part is a contribution with its points, and the score is their sum, rounded: `explain` shows
them, and `total` is the one place where they are added up.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from services.observables.scoring.claims import Claim, Contribution, Effect, Verdict
from services.observables.scoring.decay import CONTENT, THRESHOLDS, curve_of, memory_left
from services.observables.scoring.independence import Witness, evidence_of, shares, weight_of

UNRELIABLE: Final = 20
"""The reliability of grade E: sources up to it give at most `_UNRELIABLE_LIMIT` together."""
WEAK: Final = 50
"""The reliability of grade F: sources up to it whose origin nobody has named are limited."""
_UNRELIABLE_LIMIT: Final = evidence_of(0.2)
_WEAK_LIMIT: Final = evidence_of(0.79)
VULNERABILITY: Final = "vulnerability"
_UNSTATED_EXPLOITATION: Final = 0.4
"""The most that a source gives which names a vulnerability without saying that it is exploited."""
CONFIRMATION: Final = 0.9
"""The weight of a person's or sensor's confirmation that something is malicious."""
FALSE_POSITIVE: Final = -0.8
"""The share that a report of a false positive takes from claims that are not newer."""
_FALSE_POSITIVE_STEPS: Final = ((timedelta(days=90), 1.0), (timedelta(days=365), 0.5))
"""Until which age how much of a report of a false positive is left."""


class _WeighedClaim(NamedTuple):
    """A claim at a moment."""

    weight: float
    left: float
    claim: Claim


def source_weight(reliability: int, confidence: int) -> float:
    """The assertion of a source as a probability."""
    return reliability * confidence / 10_000


def contributions(
    type_: str,
    claims: Iterable[Claim],
    effects: Iterable[Effect],
    now: datetime,
    *,
    is_memory: bool = False,
    is_activity: bool = False,
) -> list[Contribution]:
    """The parts of a score at a moment: claims first, the strongest of them first, then effects.

    Without a claim there is no score for an effect to change. Parts that stopped counting are left
    out.

    Args:
        type_: the observable's.
        claims: the claims.
        effects: the effects.
        now: the moment.
        is_memory: whether claims fade only as statements about the past do.
        is_activity: whether claims about content fade as well, though it stays what it is.
    """
    counting = [effect for effect in effects if effect.until is None or effect.until > now]
    is_memory = is_memory or (type_ in CONTENT and not is_activity)
    weighed = _weigh(type_, claims, counting, now, is_memory=is_memory)
    if type_ == VULNERABILITY:
        return _exploitation(weighed, counting)
    parts: list[Contribution] = []
    doubt = 1.0
    for (_, left, claim), (evidence, share) in zip(
        weighed, _counted_evidence(weighed), strict=True
    ):
        added = weight_of(evidence)
        parts.append(_claim_part(claim, left, 100 * doubt * added, share))
        doubt *= 1 - added
    points = 100 * (1 - doubt)
    # Effects that raise come before those that lower: otherwise a look-alike name would win back
    # what an allow-list took.
    order = sorted(counting, key=lambda part: (part.weight < 0, part.dated is None, *part[:2]))
    for effect in order:
        left = 1.0
        if effect.dated is not None:
            left = _false_positive_left(now - effect.dated)
            doubted = _doubt_older(weighed, effect.dated, -effect.weight * left)
            change = points * (_relation(doubted, weighed) - 1)
            weighed = doubted
        elif weighed:
            change = effect.weight * ((100 - points) if effect.weight > 0 else points)
        else:
            change = 0.0
        parts.append(
            Contribution(effect.kind, effect.name, effect.weight, left, change, effect.reason)
        )
        points += change
    return parts


def _claim_part(claim: Claim, left: float, points: float, share: float) -> Contribution:
    return Contribution(
        claim.kind, claim.name, claim.weight, left, points, claim.reason, round(share, 4)
    )


def _weigh(
    type_: str,
    claims: Iterable[Claim],
    effects: Sequence[Effect],
    now: datetime,
    *,
    is_memory: bool,
) -> list[_WeighedClaim]:
    """Claims that count at a moment, with what time has left of them, the strongest first."""
    in_cloud = is_hosted(effects)
    weighed = []
    for claim in claims:
        if claim.until is not None and claim.until <= now:
            continue
        age = now - claim.since
        if is_memory:
            left = memory_left(type_, age)
        else:
            left = curve_of(type_, claim.threat, is_hosted=in_cloud).left(age)
        weighed.append(_WeighedClaim(claim.weight * left, left, claim))
    weighed.sort(key=_strongest_first)
    return weighed


def _strongest_first(part: _WeighedClaim) -> tuple[float, str, str]:
    return -part.weight, part.claim.kind, part.claim.name


def is_hosted(effects: Iterable[Effect]) -> bool:
    """Whether an effect says that it is an address of a cloud."""
    return any(effect.kind == "hosting" for effect in effects)


def _counted_evidence(weighed: Sequence[_WeighedClaim]) -> list[tuple[float, float]]:
    """The evidence of each claim that counts, and its share that is independent of others."""
    if len(weighed) == 1:  # no limit lies below what one source gives
        evidence_alone = evidence_of(weighed[0].weight)
        return [(evidence_alone, 1.0 if evidence_alone else 0.0)]
    witnesses = [
        Witness(
            claim.source_id or claim.name,
            claim.origin or f"{claim.kind} {claim.name}",
            claim.derived_from,
            evidence_of(weight),
            claim.copies,
        )
        for weight, _, claim in weighed
    ]
    independent = shares(witnesses)
    evidence = [
        witness.evidence * share for witness, share in zip(witnesses, independent, strict=True)
    ]
    claims = [part.claim for part in weighed]
    unreliable = [at for at, claim in enumerate(claims) if claim.reliability <= UNRELIABLE]
    _limit(evidence, unreliable, _UNRELIABLE_LIMIT)
    weak = [
        at
        for at, claim in enumerate(claims)
        if claim.reliability <= WEAK and not claim.origin and not claim.derived_from
    ]
    _limit(evidence, weak, _WEAK_LIMIT)
    return list(zip(evidence, independent, strict=True))


def _limit(evidence: list[float], places: Sequence[int], limit: float) -> None:
    """Let the evidence at some places be no more than a limit together."""
    together = sum(evidence[at] for at in places)
    if together > limit:
        for at in places:
            evidence[at] *= limit / together


def _combined(weighed: Sequence[_WeighedClaim]) -> float:
    return weight_of(sum(evidence for evidence, _ in _counted_evidence(weighed)))


def _relation(doubted: Sequence[_WeighedClaim], weighed: Sequence[_WeighedClaim]) -> float:
    """What is left of the points when claims are doubted, 0 to 1."""
    before = _combined(weighed)
    return _combined(doubted) / before if before else 1.0


def _doubt_older(
    weighed: Sequence[_WeighedClaim], moment: datetime, share: float
) -> list[_WeighedClaim]:
    """Claims of which those whose evidence is not newer than a moment lose a share."""
    doubted = [
        part._replace(weight=part.weight * (1 - share))
        if (part.claim.dated or part.claim.since) <= moment
        else part
        for part in weighed
    ]
    doubted.sort(key=_strongest_first)
    return doubted


def _false_positive_left(age: timedelta) -> float:
    return next((left for until, left in _FALSE_POSITIVE_STEPS if age < until), 0.0)


def false_positive_ends(effects: Iterable[Effect], now: datetime) -> list[datetime]:
    """When reports of false positives lose weight, so that a score may rise."""
    return [
        effect.dated + until
        for effect in effects
        if effect.dated is not None
        for until, _ in _FALSE_POSITIVE_STEPS
        if effect.dated + until > now
    ]


def _exploitation(
    weighed: Sequence[_WeighedClaim], effects: Iterable[Effect]
) -> list[Contribution]:
    """The parts of the exploitation score: the strongest reason counts, the others repeat it.

    Catalogues repeat one fact, and a forecast is none: neither adds to another.
    """
    strengths: list[tuple[float, Contribution]] = []
    for weight, left, claim in weighed:
        strength = weight
        if claim.kind == "source" and claim.threat != "exploited":
            strength = min(weight, _UNSTATED_EXPLOITATION)
        strengths.append((strength, _claim_part(claim, left, 0.0, 0.0)))
    lowering = []
    for effect in effects:
        part = Contribution(effect.kind, effect.name, effect.weight, 1.0, 0.0, effect.reason, 0.0)
        if effect.weight > 0:
            strengths.append((effect.weight, part))
        else:
            lowering.append(part)
    strengths.sort(key=lambda pair: (-pair[0], pair[1].kind, pair[1].name))
    points = 100 * strengths[0][0] if strengths else 0.0
    parts = [part for _, part in strengths]
    if parts:
        parts[0] = msgspec.structs.replace(parts[0], points=points, share=1.0)
    for part in sorted(lowering, key=lambda part: (part.kind, part.name)):
        parts.append(msgspec.structs.replace(part, points=part.weight * points))
        points *= 1 + part.weight
    return parts


def total(parts: Iterable[Contribution]) -> int:
    """The score that contributions add up to, 0 to 100."""
    return _rounded(sum(part.points for part in parts))


def _rounded(points: float) -> int:
    # First to what a float is sure of: the same sum in another order is the same score.
    return round(round(min(max(points, 0.0), 100.0), 6))


def score(type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime) -> int:
    """The score at a moment, 0 to 100."""
    if not claims and not (type_ == VULNERABILITY and effects):
        return 0
    if (
        len(claims) == 1 and not effects and type_ != VULNERABILITY and claims[0].until is None
    ):  # as most feeds give it
        (claim,) = claims
        if type_ in CONTENT:
            return _rounded(100 * claim.weight)
        return _rounded(100 * claim.weight * curve_of(type_, claim.threat).left(now - claim.since))
    return total(contributions(type_, claims, effects, now))


_WORDS: Final[tuple[Verdict, ...]] = ("malicious", "suspicious", "weak")
_VERDICTS: Final = tuple(zip(THRESHOLDS, _WORDS, strict=True))


def verdict(points: int) -> Verdict:
    """A score in one word."""
    return next((verdict for least, verdict in _VERDICTS if points >= least), "none")


def sighting_weight(count: int) -> float:
    """Once is a third, often is nearly one: 1 - 2/3 · 0.8^(count - 1), at most 0.9."""
    return min(0.9, 1 - 2 / 3 * 0.8 ** (min(count, 50) - 1)) if count > 0 else 0.0

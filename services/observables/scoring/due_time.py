"""When a score has to be computed again, because time may have let it fall below a threshold.

No I/O.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.observables.scoring.claims import Claim, Effect
from services.observables.scoring.decay import (
    CONTENT,
    THRESHOLDS,
    Curve,
    curve_of,
    next_crossing,
)
from services.observables.scoring.score import VULNERABILITY, WEAK, is_hosted, score


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
    if not claims or type_ in CONTENT:
        return None
    effects = [effect for effect in effects if effect.until is None or effect.until > now]
    factor = 1.0
    weights = _fading_weights(type_, claims, effects)
    if weights is None:
        # Whatever fades, at least this share of the score is left when as much of each claim is.
        weights = (max(current - 0.5, 0.0) / 100,)
    else:
        doubt = 1.0
        for effect in effects:
            if effect.weight < 0:
                factor *= 1 + effect.weight
            else:
                doubt *= 1 - effect.weight
        if doubt < 1.0:
            weights = (*weights, 1 - doubt)
    since = min(claim.since for claim in claims)
    crossings = [
        next_crossing(curve, weights, factor, since, current)
        for curve in _curves(type_, claims, effects)
    ]
    crossing = min((moment for moment in crossings if moment is not None), default=None)
    if crossing is None or crossing > now:
        return crossing
    return _search_crossing(type_, claims, effects, now, current)


def _fading_weights(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect]
) -> tuple[float, ...] | None:
    """The weights that fade independently of each other; None if it is not as simple as that."""
    is_limited = any(claim.reliability <= WEAK for claim in claims) and len(claims) > 1
    is_derived = any(claim.derived_from or claim.copies for claim in claims)
    is_doubted = any(effect.dated is not None for effect in effects)
    if is_limited or is_derived or is_doubted or type_ == VULNERABILITY:
        return None
    strongest: dict[str, float] = {}
    for claim in claims:
        origin = claim.origin or f"{claim.kind} {claim.name}"
        strongest[origin] = max(strongest.get(origin, 0.0), claim.weight)
    return tuple(strongest.values())


def _curves(type_: str, claims: Iterable[Claim], effects: Sequence[Effect]) -> set[Curve]:
    in_cloud = is_hosted(effects)
    return {curve_of(type_, claim.threat, is_hosted=in_cloud) for claim in claims}


def _search_crossing(
    type_: str, claims: Sequence[Claim], effects: Sequence[Effect], now: datetime, current: int
) -> datetime | None:
    """The crossing to a second, for when the early bound of `next_crossing` has passed already."""
    threshold = next((threshold for threshold in THRESHOLDS if threshold <= current), None)
    if threshold is None:
        return None
    low = now
    ends = max(curve.until(0.0) for curve in _curves(type_, claims, effects))
    high = max(claim.since for claim in claims) + ends
    if score(type_, claims, effects, high) >= threshold:
        return None
    while (high - low).total_seconds() > 1:
        middle = low + (high - low) / 2
        if score(type_, claims, effects, middle) >= threshold:
            low = middle
        else:
            high = middle
    return high

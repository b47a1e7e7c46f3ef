"""The first model of scores: answers about times before the second one are computed by it.

It multiplies the doubts of all claims as if they were independent, counts places of sightings as
claims, and lets every claim fade by the type alone. It stays as it is. No I/O.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from services.observables.scoring.claims import Claim, Contribution, Effect
from services.observables.scoring.decay import HELD_FOR, Curve, end_of_day
from services.observables.scoring.inputs import (
    EnrichmentWeight,
    SightingRow,
    StoredAssertion,
    claims_from_enrichments,
)
from services.observables.scoring.score import sighting_weight, source_weight

_KNOWN_EXPLOITED: Final = 0.6
_DEFAULT: Final = Curve(470, 0.35)
_NETWORK: Final = Curve(47, 0.55)
_FILE: Final = Curve(460, 0.3)
_CURVES: Final[dict[str, Curve]] = {
    "ipv4-addr": _NETWORK,
    "ipv6-addr": _NETWORK,
    "url": _NETWORK,
    "domain-name": Curve(300, 0.7),
    "file-md5": _FILE,
    "file-sha1": _FILE,
    "file-sha256": _FILE,
    "file-sha512": _FILE,
    "file-ssdeep": _FILE,
    "file-tlsh": _FILE,
    "file-imphash": _FILE,
}


def first_contributions(
    type_: str,
    assertions: Iterable[StoredAssertion],
    sightings: Iterable[SightingRow],
    weights: Iterable[EnrichmentWeight],
    effects: Iterable[Effect],
    now: datetime,
) -> list[Contribution]:
    """The parts of a score as the first model gave them.

    Args:
        type_: the observable's.
        assertions: those that held at the moment.
        sightings: all sightings.
        weights: of the answers of remote enrichers.
        effects: those of the value itself.
        now: the moment.
    """
    enriched, lowering = claims_from_enrichments(weights)
    seen, harmless = _sighted(sightings)
    claims = [*map(_claim_of, assertions), *seen, *enriched]
    all_effects = [*map(_effect_of_then, effects), *harmless, *lowering]
    return _add_up(_CURVES.get(type_, _DEFAULT), claims, all_effects, now)


def _claim_of(assertion: StoredAssertion) -> Claim:
    weight = source_weight(assertion.reliability, assertion.confidence)
    reason = f"reliability {assertion.reliability} %, confidence {assertion.confidence} %"
    since = end_of_day(assertion.last_seen)
    if assertion.kind == "snapshot":
        confirmed_at = assertion.confirmed_at
        if confirmed_at is None or confirmed_at < assertion.observed_at:
            confirmed_at = assertion.observed_at
        since = end_of_day(confirmed_at) + HELD_FOR
    return Claim("source", assertion.source, weight, since, reason)


def _effect_of_then(effect: Effect) -> Effect:
    return effect._replace(weight=_KNOWN_EXPLOITED) if effect.name == "known_exploited" else effect


def _sighted(sightings: Iterable[SightingRow]) -> tuple[list[Claim], list[Effect]]:
    """The claims of sightings, place by place, and the effect of reports of false positives."""
    by_place: dict[str, list[SightingRow]] = {}
    harmless = 0
    for sighting in sightings:
        if sighting.kind == "seen":
            by_place.setdefault(sighting.place, []).append(sighting)
        elif sighting.kind == "false-positive":
            harmless += sighting.times
    claims = [_place_claim(place, reports) for place, reports in sorted(by_place.items())]
    if not harmless:
        return claims, []
    weight = -min(0.95, 1 - 0.5 ** min(harmless, 10))
    reason = f"reported as a false positive {harmless} time{'s' if harmless > 1 else ''}"
    return claims, [Effect("false-positive", "false positives", weight, reason)]


def _place_claim(place: str, reports: Sequence[SightingRow]) -> Claim:
    count = sum(report.times for report in reports)
    last = max(report.last_seen for report in reports)
    reason = f"seen {count} time{'s' if count > 1 else ''}, last {last:%Y-%m-%d %H:%M}"
    return Claim("sighting", place or "no place given", sighting_weight(count), last, reason)


def _add_up(
    curve: Curve, claims: Iterable[Claim], effects: Iterable[Effect], now: datetime
) -> list[Contribution]:
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
    for effect in sorted(counting, key=lambda part: (part.weight < 0, part.kind, part.name)):
        change = 0.0
        if is_claimed:
            change = effect.weight * ((100 - points) if effect.weight > 0 else points)
        parts.append(
            Contribution(effect.kind, effect.name, effect.weight, 1.0, change, effect.reason)
        )
        points += change
    return parts

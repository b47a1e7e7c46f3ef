"""Observables as readers see them: the tenant's own knowledge and the public one together. No I/O."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from services.observables import context, scoring
from services.observables.knowledge import Effects, Sighting, claim, since, weigh
from services.observables.reads import Gathered
from services.observables.scoring import Claim, Contribution, Verdict
from shared.stix.ids import stix_type


class Assertion(msgspec.Struct):
    """One source's word about an observable."""

    source: str
    source_id: str
    tenant: str
    tlp: str
    reliability: int
    confidence: int
    tags: list[str]
    attack: list[str]
    malware: str | None
    first_seen: datetime
    last_seen: datetime
    valid_until: datetime | None
    retracted_at: datetime | None


class Reported(msgspec.Struct):
    """One sighting."""

    id: str
    kind: str
    count: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime
    actor: str


class View(msgspec.Struct):
    """An observable with all that is known about it; `context` is what enrichers found."""

    id: str
    type: str
    value: str
    score: int
    verdict: Verdict
    tags: list[str]
    attack: list[str]
    first_seen: datetime
    last_seen: datetime
    context: msgspec.Raw
    assertions: list[Assertion]
    sightings: list[Reported]


class Reference(msgspec.Struct):
    """An observable in short, where another one is asked for."""

    id: str
    type: str
    value: str
    score: int
    verdict: Verdict


Row = tuple[Any, ...]
_LAST_OF_ASSERTION: Final = 13


def views(found: Gathered, now: datetime) -> dict[str, View]:
    """Views by the id's UUID; an observable of which nothing was said at that moment is unknown."""
    made: dict[str, View] = {}
    for row in found.observables:
        identity = row[0]
        if identity not in made and (identity in found.assertions or identity in found.sightings):
            made[identity] = _view(row, found.assertions.get(identity, ()), found.sightings.get(identity, ()), now)
    return made


def explained(found: Gathered, now: datetime) -> dict[str, list[Contribution]]:
    """The parts of each score; `views` gives the score that they add up to."""
    parts: dict[str, list[Contribution]] = {}
    for row in found.observables:
        identity, type_ = row[0], row[2]
        if identity not in parts:
            active = [one for one in found.assertions.get(identity, ()) if _holds(one, now)]
            claims, effects = _voices(row, active, found.sightings.get(identity, ()))
            parts[identity] = scoring.contributions(type_, claims, effects, now)
    return parts


def reference(view: View) -> Reference:
    """A view in short."""
    return Reference(view.id, view.type, view.value, view.score, view.verdict)


def _holds(assertion: Row, now: datetime) -> bool:
    until, retracted = assertion[11], assertion[12]
    return retracted is None and (until is None or until > now)


def _voices(row: Row, active: Sequence[Row], sightings: Sequence[Row]) -> tuple[list[Claim], Effects]:
    claims = []
    for name, _, _, _, reliability, confidence, _, _, _, _, last_seen, _, _, kind, confirmed_at, observed_at in active:
        claims.append(claim(name, reliability, confidence, since(kind, last_seen, observed_at, confirmed_at)))
    effects = context.effects(row[2], row[4])
    if sightings:
        seen, against = weigh(Sighting(kind, times, place, last) for _, kind, times, place, _, _, last, _ in sightings)
        claims += seen
        effects += against
    return claims, effects


def _view(row: Row, assertions: Sequence[Row], sightings: Sequence[Row], now: datetime) -> View:
    identity, _, type_, value, described = row
    active = [one for one in assertions if _holds(one, now)]
    claims, effects = _voices(row, active, sightings)
    score = scoring.score(type_, claims, effects, now)
    told = [Assertion(*one[:_LAST_OF_ASSERTION]) for one in assertions]
    reported = [Reported(*one) for one in sightings]
    return View(
        f"{stix_type(type_)}--{identity}",
        type_,
        value,
        score,
        scoring.verdict(score),
        _union([one[6] for one in active]),
        _union([one[7] for one in active]),
        min([*(one.first_seen for one in told), *(one.first_seen for one in reported)]),
        max([*(one.last_seen for one in told), *(one.last_seen for one in reported)]),
        msgspec.Raw(described.encode()),
        told,
        reported,
    )


def _union(lists: list[list[str]]) -> list[str]:
    return sorted({text for each in lists for text in each}) if len(lists) > 1 else sorted(*lists) if lists else []

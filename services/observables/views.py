"""Observables as readers see them: the tenant's own knowledge and the public one together. No I/O."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec

from services.observables import context, scoring
from services.observables.knowledge import Effects, Sighting, Stored, weigh
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


class Voices(msgspec.Struct):
    """What speaks for and against one observable at a moment."""

    claims: list[Claim]
    effects: Effects


def views(found: Gathered, now: datetime) -> dict[str, View]:
    """Views by the id's UUID; an observable of which nothing was said at that moment is unknown."""
    assertions, sightings = _by_id(found.assertions), _by_id(found.sightings)
    made: dict[str, View] = {}
    for row in found.observables:
        # The tenant's own row comes before the public one.
        if row.id not in made and (row.id in assertions or row.id in sightings):
            made[row.id] = _view(row, assertions.get(row.id, []), sightings.get(row.id, []), now)
    return made


def explained(found: Gathered, now: datetime) -> dict[str, list[Contribution]]:
    """The parts of each score; `views` gives the score that they add up to."""
    assertions, sightings = _by_id(found.assertions), _by_id(found.sightings)
    parts: dict[str, list[Contribution]] = {}
    for row in found.observables:
        if row.id not in parts:
            voices = _voices(row, assertions.get(row.id, []), sightings.get(row.id, []), now)
            parts[row.id] = scoring.contributions(row.type, voices.claims, voices.effects, now)
    return parts


def reference(view: View) -> Reference:
    """A view in short."""
    return Reference(view.id, view.type, view.value, view.score, view.verdict)


def _by_id(rows: Any) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.id].append(row)
    return grouped


def _voices(row: Any, assertions: list[Any], sightings: list[Any], now: datetime) -> Voices:
    claims = [stored.claim for one in assertions if (stored := _stored(one)).active(now)]
    effects = context.effects(row.type, row.context)
    if sightings:
        seen, against = weigh(Sighting(one.kind, one.times, one.place, one.last_seen) for one in sightings)
        claims += seen
        effects += against
    return Voices(claims, effects)


def _stored(row: Any) -> Stored:
    return Stored(
        row.source_id,
        row.source,
        row.reliability,
        row.confidence,
        (),
        row.malware,
        row.valid_until,
        row.last_seen,
        row.retracted_at is not None,
        row.observed_at,
        row.kind,
        row.confirmed_at,
    )


def _view(row: Any, assertions: list[Any], sightings: list[Any], now: datetime) -> View:
    voices = _voices(row, assertions, sightings, now)
    score = scoring.score(row.type, voices.claims, voices.effects, now)
    active = [
        one for one in assertions if one.retracted_at is None and (one.valid_until is None or one.valid_until > now)
    ]
    both = [*assertions, *sightings]
    return View(
        f"{stix_type(row.type)}--{row.id}",
        row.type,
        row.value,
        score,
        scoring.verdict(score),
        sorted({tag for one in active for tag in one.tags}),
        sorted({technique for one in active for technique in one.attack}),
        min(one.first_seen for one in both),
        max(one.last_seen for one in both),
        msgspec.Raw(row.context.encode()),
        [_assertion(one) for one in assertions],
        [_reported(one) for one in sightings],
    )


def _assertion(row: Any) -> Assertion:
    return Assertion(
        row.source,
        row.source_id,
        row.tenant,
        row.tlp,
        row.reliability,
        row.confidence,
        row.tags,
        row.attack,
        row.malware,
        row.first_seen,
        row.last_seen,
        row.valid_until,
        row.retracted_at,
    )


def _reported(row: Any) -> Reported:
    return Reported(row.sighting_id, row.kind, row.times, row.place, row.note, row.first_seen, row.last_seen, row.actor)

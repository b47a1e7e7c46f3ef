"""Observables as readers see them: the tenant's own knowledge and the public one together. No I/O."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from services.observables.lookup.repository import Gathered
from services.observables.reference import context
from services.observables.scoring import score as scoring
from services.observables.scoring.inputs import (
    Effects,
    EnrichmentWeight,
    SightingRow,
    claim,
    claims_from_enrichments,
    claims_from_sightings,
    since,
)
from services.observables.scoring.score import Claim, Contribution, Verdict
from services.observables.store.references import Reference
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


class Answer(msgspec.Struct):
    """What a remote enricher told: facts, or that it knows nothing; asked again once it has expired."""

    enricher: str
    tenant: str
    found: bool
    facts: msgspec.Raw
    obtained_at: datetime
    expires_at: datetime


class View(msgspec.Struct):
    """An observable with all that is known about it; `context` is what offline enrichers found.

    Attributes:
        assertions: a list of `Assertion`, as JSON: many observables share it.
        depth: how many answers of enrichers it is away from what a source or a person said.
    """

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
    assertions: msgspec.Raw
    sightings: list[Reported]
    enrichments: list[Answer]
    depth: int


class _Judged(NamedTuple):
    """What a view says beside what the observable is: the same for all of which the same was said."""

    score: int
    verdict: Verdict
    tags: list[str]
    attack: list[str]
    first_seen: datetime
    last_seen: datetime
    assertions: msgspec.Raw
    sightings: list[Reported]
    answers: list[Answer]


Row = tuple[Any, ...]
_Alike = dict[tuple[Any, ...], _Judged]
_LAST_OF_ASSERTION: Final = 13
_read_assertions: Final = msgspec.json.Decoder(list[Assertion]).decode
_encode: Final = msgspec.json.Encoder().encode
_read_weights: Final = msgspec.json.Decoder(list[tuple[float, str]]).decode


def views(found: Gathered, now: datetime) -> dict[str, View]:
    """Views by the id's UUID; an observable of which nothing was said at that moment is unknown."""
    made: dict[str, View] = {}
    alike: _Alike = {}
    for row in found.observables:
        if row[0] not in made and _is_known(row, found, now):
            made[row[0]] = _view(row, found, now, alike)
    return made


def _is_known(row: Row, found: Gathered, now: datetime) -> bool:
    """Whether somebody said something about it, or it is what an enricher answered about another one."""
    identity, *_, first_seen, depth = row
    spoken_of = (
        identity in found.assertions or identity in found.sightings or identity in found.answers
    )
    return spoken_of or (depth > 0 and first_seen <= now)


def explained(found: Gathered, now: datetime) -> dict[str, list[Contribution]]:
    """The parts of each score; `views` gives the score that they add up to."""
    parts: dict[str, list[Contribution]] = {}
    for row in found.observables:
        identity, type_ = row[0], row[2]
        if identity not in parts:
            active = [one for one in found.assertions.get(identity, ()) if _holds(one, now)]
            claims, effects = _voices(row, active, context.effects(row[4]), found)
            parts[identity] = scoring.contributions(type_, claims, effects, now)
    return parts


def assertions(view: View) -> list[Assertion]:
    """The assertions of a view, one by one."""
    return _read_assertions(view.assertions)


def reference(view: View) -> Reference:
    """A view in short."""
    return Reference(view.id, view.type, view.value, view.score, view.verdict)


def _holds(assertion: Row, now: datetime) -> bool:
    until, retracted = assertion[11], assertion[12]
    return retracted is None and (until is None or until > now)


def _voices(
    row: Row, active: Sequence[Row], effects: Effects, found: Gathered
) -> tuple[list[Claim], Effects]:
    claims = []
    for (
        name,
        _,
        _,
        _,
        reliability,
        confidence,
        _,
        _,
        _,
        _,
        last_seen,
        _,
        _,
        kind,
        confirmed_at,
        observed_at,
    ) in active:
        claims.append(
            claim(name, reliability, confidence, since(kind, last_seen, observed_at, confirmed_at))
        )
    if sightings := found.sightings.get(row[0]):
        seen, against = claims_from_sightings(
            SightingRow(kind, times, place, last)
            for _, kind, times, place, _, _, last, _ in sightings
        )
        claims += seen
        effects += against
    if answers := found.answers.get(row[0]):
        told, facts = claims_from_enrichments(
            EnrichmentWeight(one[0], _read_weights(one[4]), one[5], one[7]) for one in answers
        )
        claims += told
        effects += facts
    return claims, effects


def _view(row: Row, found: Gathered, now: datetime, alike: _Alike) -> View:
    identity, _, type_, value, described, _, depth = row
    effects, assertions = context.effects(described), found.assertions.get(identity, ())
    if not assertions or identity in found.sightings or identity in found.answers:
        judged = _judged(row, effects, found, now)
    else:
        # By identity: what is said in the same words of many is there once, and hashing that takes longer.
        key = (type_, effects, id(assertions))
        judged = alike.get(key) or alike.setdefault(key, _judged(row, effects, found, now))
    return View(
        f"{stix_type(type_)}--{identity}",
        type_,
        value,
        judged.score,
        judged.verdict,
        judged.tags,
        judged.attack,
        judged.first_seen,
        judged.last_seen,
        msgspec.Raw(described.encode()),
        judged.assertions,
        judged.sightings,
        judged.answers,
        0 if assertions or judged.sightings else depth,
    )


def _judged(row: Row, effects: Effects, found: Gathered, now: datetime) -> _Judged:
    identity, _, type_, _, _, first_seen, _ = row
    assertions = found.assertions.get(identity, ())
    active = [one for one in assertions if _holds(one, now)]
    claims, effects = _voices(row, active, effects, found)
    score = scoring.score(type_, claims, effects, now)
    told = [Assertion(*one[:_LAST_OF_ASSERTION]) for one in assertions]
    reported = [Reported(*one) for one in found.sightings.get(identity, ())]
    return _Judged(
        score,
        scoring.verdict(score),
        _union([one[6] for one in active]),
        _union([one[7] for one in active]),
        min(
            [*(one.first_seen for one in told), *(one.first_seen for one in reported)],
            default=first_seen,
        ),
        max(
            [*(one.last_seen for one in told), *(one.last_seen for one in reported)],
            default=first_seen,
        ),
        msgspec.Raw(_encode(told)),
        reported,
        [_answer(one) for one in found.answers.get(identity, ())],
    )


def _answer(row: Row) -> Answer:
    enricher, tenant, found, facts, _, obtained_at, expires_at, _ = row
    return Answer(enricher, tenant, found, msgspec.Raw(facts.encode()), obtained_at, expires_at)


def _union(lists: list[list[str]]) -> list[str]:
    return (
        sorted({text for each in lists for text in each})
        if len(lists) > 1
        else sorted(*lists)
        if lists
        else []
    )

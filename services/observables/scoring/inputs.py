"""What is stored about an observable, as the pure functions see it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from services.observables.scoring import score as scoring
from services.observables.scoring.decay import HELD_FOR, end_of_day
from services.observables.scoring.score import Claim, Effect

Effects = tuple[Effect, ...]


class StoredAssertion(NamedTuple):
    """One assertion as it is stored, with its source's reliability.

    Attributes:
        last_seen: when the source saw it last, by its own word or by the time of its run.
        observed_at: the time of the newest run that said so or took it back.
        kind: snapshot or stream, the source's.
        confirmed_at: when a snapshot source last confirmed its whole list.
        said_at: the time of the newest run that said so; None when all that was heard is that it is over.
        first_seen: the earliest that was told.
    """

    source_id: str
    source: str
    reliability: int
    confidence: int
    tags: tuple[str, ...]
    malware: str | None
    valid_until: datetime | None
    last_seen: datetime
    retracted: bool
    observed_at: datetime
    kind: str = "stream"
    confirmed_at: datetime | None = None
    attack: tuple[str, ...] = ()
    said_at: datetime | None = None
    first_seen: datetime | None = None

    def active(self, now: datetime) -> bool:
        """Whether the source still says so."""
        return not self.retracted and (self.valid_until is None or self.valid_until > now)

    @property
    def since(self) -> datetime:
        """When the assertion begins to fade."""
        return since(self.kind, self.last_seen, self.observed_at, self.confirmed_at)

    @property
    def claim(self) -> Claim:
        """The assertion as the score sees it."""
        return claim(self.source, self.reliability, self.confidence, self.since)


def since(
    kind: str, last_seen: datetime, observed_at: datetime, confirmed_at: datetime | None
) -> datetime:
    """When an assertion begins to fade: with the day it was seen on, a snapshot's when its lists stop coming."""
    if kind != "snapshot":
        return end_of_day(last_seen)
    confirmed = observed_at if confirmed_at is None or confirmed_at < observed_at else confirmed_at
    return end_of_day(confirmed) + HELD_FOR


def claim(source: str, reliability: int, confidence: int, since: datetime) -> Claim:
    """A source's word as the score sees it."""
    weight, reason = _worth(reliability, confidence)
    return Claim("source", source, weight, since, reason)


@cache
def _worth(reliability: int, confidence: int) -> tuple[float, str]:
    reason = f"reliability {reliability} %, confidence {confidence} %"
    return scoring.source_weight(reliability, confidence), reason


class SightingRow(NamedTuple):
    """One report that an observable was met, or that it is harmless.

    Attributes:
        kind: seen or false-positive.
    """

    kind: str
    times: int
    place: str
    last_seen: datetime


class EnrichmentWeight(NamedTuple):
    """What a remote enricher answered, as far as the score is concerned.

    Attributes:
        weights: weight and reason; above 0 a voice that fades, below 0 a share that is taken away.
        counts_until: afterwards it is no part of the score.
    """

    enricher: str
    weights: Sequence[tuple[float, str]]
    obtained_at: datetime
    counts_until: datetime


class ObservableState(NamedTuple):
    """What is stored about one observable, as the tenant sees it: its own knowledge and the public one.

    Attributes:
        score: as it was last announced.
        assertions: the tenant's own, by source id.
        voices: what sightings and remote enrichers claim.
        effects: what is known about the value itself, false positives included.
        looked_at: the newest moment of which the score was written.
        due: when the score has to be looked at again.
        public: what public sources say, when the tenant is another one.
        own: whether the tenant has a row of it; otherwise it is only public.
    """

    type: str
    value: str
    score: int
    assertions: dict[str, StoredAssertion]
    claims: tuple[Claim, ...] = ()
    effects: Effects = ()
    looked_at: datetime | None = None
    due: datetime | None = None
    public: tuple[StoredAssertion, ...] = ()
    own: bool = True

    @property
    def said(self) -> list[StoredAssertion]:
        """Everything that sources say."""
        return [*self.assertions.values(), *self.public]

    def newest(self, at: datetime) -> datetime:
        """The newest moment that anything is known of, `at` included: the one that scores are written for."""
        return max(at, *(one.observed_at for one in self.said), self.looked_at or at)


def claims_from_enrichments(
    answers: Iterable[EnrichmentWeight],
) -> tuple[tuple[Claim, ...], Effects]:
    """What remote enrichers claim, and what they take away."""
    claims: list[Claim] = []
    effects: list[Effect] = []
    for one in answers:
        for weight, reason in one.weights:
            if weight > 0:
                claims.append(
                    Claim(
                        "enrichment",
                        one.enricher,
                        weight,
                        one.obtained_at,
                        reason,
                        one.counts_until,
                    )
                )
            else:
                effects.append(Effect("enrichment", one.enricher, weight, reason, one.counts_until))
    return tuple(claims), tuple(effects)


def claims_from_sightings(sightings: Iterable[SightingRow]) -> tuple[tuple[Claim, ...], Effects]:
    """What sightings claim, place by place, and what reports of false positives take away."""
    seen: dict[str, list[SightingRow]] = {}
    harmless = 0
    for one in sightings:
        if one.kind == "seen":
            seen.setdefault(one.place, []).append(one)
        else:
            harmless += one.times
    claims = tuple(_claim(place, reports) for place, reports in sorted(seen.items()))
    if not harmless:
        return claims, ()
    weight = scoring.false_positive_weight(harmless)
    reason = f"reported as a false positive {harmless} time{'s' if harmless > 1 else ''}"
    return claims, (Effect("false-positive", "false positives", weight, reason),)


def _claim(place: str, reports: list[SightingRow]) -> Claim:
    count, last = sum(one.times for one in reports), max(one.last_seen for one in reports)
    reason = f"seen {count} time{'s' if count > 1 else ''}, last {last:%Y-%m-%d %H:%M}"
    return Claim(
        "sighting", place or "no place given", scoring.sighting_weight(count), last, reason
    )

"""What is stored about an observable, as rows with names, and the score that follows from it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from services.observables.scoring import score as scoring
from services.observables.scoring.claims import Claim, Effect
from services.observables.scoring.decay import HELD_FOR, curve_of, end_of_day
from services.observables.scoring.due_time import due
from services.observables.scoring.measurements import NO_MEASUREMENTS, read_measurements
from services.observables.scoring.threats import threat_kind
from shared.stix.markings import Marking, marking_of, strictest

Effects = tuple[Effect, ...]


class StoredAssertion(NamedTuple):
    """An assertion with its source, as the tables hold it. Queries select columns in this order.

    Attributes:
        first_seen: the earliest time that the source gave.
        last_seen: when the source saw the observable last: as it stated, or the time of its run.
        retracted_at: the time of the run that retracted it.
        kind: `snapshot` or `stream`, the source's.
        confirmed_at: when a snapshot source last confirmed its whole list.
        observed_at: the time of the newest run that asserted it. If only a retraction is stored, it
            is the time of that, like `retracted_at`.
        origin: whose observation the source publishes; empty when nobody has named it.
        derived_from: the origins that the source is made of.
        measurements: of the source, as JSON; empty if there are none.
    """

    tenant: str
    source: str
    source_id: str
    tlp: str
    first_seen: datetime
    reliability: int
    confidence: int
    tags: Sequence[str]
    attack: Sequence[str]
    malware: str | None
    last_seen: datetime
    valid_until: datetime | None
    retracted_at: datetime | None
    kind: str
    confirmed_at: datetime | None
    observed_at: datetime
    origin: str = ""
    derived_from: Sequence[str] = ()
    measurements: str = ""

    @property
    def retracted(self) -> bool:
        """Whether the source has retracted it."""
        return self.retracted_at is not None

    @property
    def asserted_at(self) -> datetime | None:
        """The time of the newest run that asserted it; None if only a retraction is stored."""
        return None if self.retracted_at == self.observed_at else self.observed_at

    @property
    def updated_at(self) -> datetime:
        """The time of the newest run that asserted or retracted it."""
        if self.retracted_at is not None and self.retracted_at > self.observed_at:
            return self.retracted_at
        return self.observed_at

    def active(self, now: datetime) -> bool:
        """Whether the source still asserts it."""
        return self.retracted_at is None and (self.valid_until is None or self.valid_until > now)

    @property
    def fades_from(self) -> datetime:
        """When the assertion begins to fade.

        It begins with the end of the day on which the source saw the observable last. A snapshot
        that does not say when names it until the list is confirmed no more, and some days longer.
        """
        if self.kind != "snapshot" or self.is_dated:
            return end_of_day(self.last_seen)
        return self.confirmed_until

    @property
    def is_dated(self) -> bool:
        """Whether the source says itself when it saw the observable last."""
        return self.last_seen < self.observed_at

    @property
    def confirmed_until(self) -> datetime:
        """Until when a snapshot counts as confirmed, if it is not confirmed again."""
        confirmed_at = self.confirmed_at
        if confirmed_at is None or confirmed_at < self.observed_at:
            confirmed_at = self.observed_at
        return end_of_day(confirmed_at) + HELD_FOR

    @property
    def claim(self) -> Claim:
        """The assertion as the score sees it."""
        return self._claim_dated(min(self.last_seen, self.observed_at))

    @property
    def undated_claim(self) -> Claim:
        """The claim where no false positive is reported, so that the date of the evidence is idle.

        Many assertions of a feed make the same one: it fades from the end of a day.
        """
        return self._claim_dated(None)

    def _claim_dated(self, dated: datetime | None) -> Claim:
        measured = read_measurements(self.measurements) if self.measurements else NO_MEASUREMENTS
        reliability = self.reliability if measured.reliability is None else measured.reliability
        weight, reason = _source_weight(reliability, self.confidence, self.reliability)
        return Claim(
            "source",
            self.source,
            weight,
            self.fades_from,
            reason,
            None,
            self.origin,
            tuple(self.derived_from),
            reliability,
            threat_kind(self.tags, self.malware),
            dated,
            self.source_id,
            measured.copies,
        )


class RepeatedAssertion(StoredAssertion):
    """An assertion that a later run repeated: noted, not written.

    `observed_at` is the time of that run. The run asserted it, even if it also retracted it.
    """

    __slots__ = ()

    @property
    def asserted_at(self) -> datetime:
        """The time of the newest run that asserted it."""
        return self.observed_at


@cache
def _source_weight(reliability: int, confidence: int, stated: int) -> tuple[float, str]:
    learned = f" as learned, {stated} % as stated" if reliability != stated else ""
    reason = f"reliability {reliability} %{learned}, confidence {confidence} %"
    return scoring.source_weight(reliability, confidence), reason


class SightingRow(NamedTuple):
    """A report that an observable was seen, or that it is harmless, in the order of its columns.

    Attributes:
        kind: `seen`, `confirmed-malicious` or `false-positive`.
        times: how often it was seen.
        place: where it was seen, for instance the name of a sensor.
    """

    id: str
    kind: str
    times: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime
    actor: str


class EnrichmentWeight(NamedTuple):
    """The part of a remote enricher's answer that the score depends on.

    Attributes:
        weights: weight and reason; above 0 a claim that fades, below 0 a share that is taken away.
        counts_until: from then on it is no part of the score.
        origin: whose observation the answer repeats; empty when it is the provider's own.
    """

    enricher: str
    weights: Sequence[tuple[float, str]]
    obtained_at: datetime
    counts_until: datetime
    origin: str = ""


class ObservableState(NamedTuple):
    """What is stored about one observable, as the tenant sees it: its own rows and the public ones.

    Attributes:
        score: the score that was last published.
        assertions: the tenant's own, by source id.
        claims: those of confirmations and of remote enrichers.
        effects: those of offline enrichers, of false positives, and of remote enrichers.
        scored_at: the newest moment that the score was computed for.
        due: when the score has to be computed again.
        public: assertions of public sources, when the tenant is another one.
        own: whether the tenant has a row; otherwise the observable is only public.
        depth: how many answers of enrichers it is away from what a source or a person reported.
        reported: whether a sighting or an answer of an enricher is stored.
        sightings: of all kinds. That it was seen renews claims which have not faded.
        tlp: the marking that it has inherited from what an answer of an enricher was about.
    """

    type: str
    value: str
    score: int
    assertions: dict[str, StoredAssertion]
    claims: tuple[Claim, ...] = ()
    effects: Effects = ()
    scored_at: datetime | None = None
    due: datetime | None = None
    public: tuple[StoredAssertion, ...] = ()
    own: bool = True
    depth: int = 0
    reported: bool = False
    sightings: tuple[SightingRow, ...] = ()
    tlp: str | None = None

    @property
    def seen(self) -> tuple[datetime, ...]:
        """When it was seen, in order."""
        return seen_times(self.sightings) if self.sightings else ()

    @property
    def all_assertions(self) -> list[StoredAssertion]:
        """The assertions of the tenant's own sources and of public ones."""
        return [*self.assertions.values(), *self.public]

    @property
    def visible(self) -> bool:
        """Whether readers see it: a source, a sighting or an enricher reports it."""
        return bool(self.assertions or self.public) or self.reported or self.depth > 0

    def active(self, now: datetime) -> list[StoredAssertion]:
        """The assertions that hold at a moment."""
        return [assertion for assertion in self.all_assertions if assertion.active(now)]

    def marking(self, active: Sequence[StoredAssertion]) -> Marking:
        """The strictest marking of what is stored: inherited, of sources, and of assertions.

        What no source asserts any more stays marked as it was: a value does not become public by
        expiring.

        Args:
            active: the assertions that hold.
        """
        rows = active or self.all_assertions
        markings = [marking_of(tuple(row.tags), row.tlp) for row in rows]
        return strictest([self.tlp or None, *markings]) or "clear"

    @property
    def active_before(self) -> list[StoredAssertion]:
        """The assertions that held when the score was last computed: what readers know of."""
        return self.all_assertions if self.scored_at is None else self.active(self.scored_at)

    def newest(self, at: datetime) -> datetime:
        """The newest moment of all that is stored, at least `at`: the one that scores are for."""
        return max(at, *(row.updated_at for row in self.all_assertions), self.scored_at or at)

    def evaluate(self, now: datetime) -> "ScoreUpdate":
        """The score of all that is stored at a moment, and when it is due again."""
        return evaluate(self.type, self.all_assertions, self.claims, self.effects, now, self.seen)


class ScoreUpdate(NamedTuple):
    """A score, and when it has to be computed again."""

    score: int
    due: datetime | None


def evaluate(
    type_: str,
    assertions: Iterable[StoredAssertion],
    claims: Iterable[Claim],
    effects: Effects,
    now: datetime,
    seen: Sequence[datetime] = (),
) -> ScoreUpdate:
    """The score at a moment, and when it has to be computed again.

    Args:
        type_: the observable's.
        assertions: those that hold at `now` count.
        claims: those of confirmations and of remote enrichers.
        effects: those of the value itself, and of reports about it.
        now: the moment.
        seen: when it was seen.
    """
    active = [assertion for assertion in assertions if assertion.active(now)]
    all_claims = [*(assertion.claim for assertion in active), *claims]
    if seen:
        all_claims = renewed(type_, all_claims, seen)
    score = scoring.score(type_, all_claims, effects, now)
    ends = [assertion.valid_until for assertion in active if assertion.valid_until is not None]
    untils = (*(claim.until for claim in all_claims), *(effect.until for effect in effects))
    ends += [until for until in untils if until is not None and until > now]
    if effects:
        ends += scoring.false_positive_ends(effects, now)
    fades = due(type_, all_claims, effects, now, score)
    if fades is not None:
        ends.append(fades)
    return ScoreUpdate(score, min(ends, default=None))


def renewed(type_: str, claims: Iterable[Claim], seen: Sequence[datetime]) -> list[Claim]:
    """Claims that begin to fade when the observable was seen last, if they had not faded by then.

    A sighting says that something is still there. It wakes no claim that time has taken away.

    Args:
        type_: the observable's.
        claims: the claims.
        seen: when the observable was seen, in order.
    """
    fresh = []
    for claim in claims:
        since = claim.since
        lifetime = curve_of(type_, claim.threat).until(0.0)
        for moment in seen:
            if since < moment < since + lifetime:
                since = moment
        if since != claim.since:
            reason = f"{claim.reason}; seen {since:%Y-%m-%d %H:%M}"
            dated = claim.dated or claim.since
            claim = claim._replace(since=since, reason=reason, dated=dated)  # noqa: PLW2901
        fresh.append(claim)
    return fresh


def reported_claims(
    sightings: Iterable[SightingRow], weights: Iterable[EnrichmentWeight]
) -> tuple[tuple[Claim, ...], Effects]:
    """The claims and effects of sightings and of remote enrichers."""
    confirmed, false_positives = claims_from_sightings(sightings)
    claims, effects = claims_from_enrichments(weights)
    return (*confirmed, *claims), (*false_positives, *effects)


def claims_from_enrichments(
    answers: Iterable[EnrichmentWeight],
) -> tuple[tuple[Claim, ...], Effects]:
    """The claims of remote enrichers, and the effects that lower the score."""
    claims: list[Claim] = []
    effects: list[Effect] = []
    for enricher, weights, obtained_at, counts_until, origin in answers:
        for weight, reason in weights:
            if weight > 0:
                claims.append(
                    Claim("enrichment", enricher, weight, obtained_at, reason, counts_until, origin)
                )
            else:
                effects.append(Effect("enrichment", enricher, weight, reason, counts_until))
    return tuple(claims), tuple(effects)


def claims_from_sightings(
    sightings: Iterable[SightingRow],
) -> tuple[tuple[Claim, ...], Effects]:
    """The claims of confirmations, and the effects of false positives, by who reports them.

    That something was seen is no claim.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for sighting in sightings:
        if sighting.kind != "seen":
            key = (sighting.kind, sighting.actor)
            newest[key] = max(sighting.last_seen, newest.get(key, sighting.last_seen))
    claims: list[Claim] = []
    effects: list[Effect] = []
    for (kind, actor), moment in sorted(newest.items()):
        when = f"{moment:%Y-%m-%d %H:%M}"
        if kind == "confirmed-malicious":
            reason = f"confirmed as malicious, {when}"
            claims.append(
                Claim(
                    "confirmation",
                    actor,
                    scoring.CONFIRMATION,
                    moment,
                    reason,
                    origin=f"reporter {actor}",
                )
            )
        else:
            reason = f"reported as a false positive, {when}"
            effects.append(
                Effect("false-positive", actor, scoring.FALSE_POSITIVE, reason, dated=moment)
            )
    return tuple(claims), tuple(effects)


def seen_times(sightings: Iterable[SightingRow]) -> tuple[datetime, ...]:
    """When an observable was seen, in order."""
    return tuple(sorted(report.last_seen for report in sightings if report.kind == "seen"))

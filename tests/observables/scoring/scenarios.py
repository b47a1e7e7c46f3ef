"""Scenarios of scores: what an analyst expects, and what comes out, as docs/scoring.md shows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from services.observables.providers.registry import origin_of
from services.observables.reference import kev_catalog
from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.enrichers.known_exploited import KnownExploitedEnricher
from services.observables.reference.kev_catalog import KevCatalog
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import bundled, pack
from services.observables.scoring.assessment import Assessment, assess, assessed_score
from services.observables.scoring.inputs import (
    EnrichmentWeight,
    SightingRow,
    StoredAssertion,
    evaluate,
    reported_claims,
    seen_times,
)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GRADES = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": 50}


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def source(
    name: str,
    grade: str = "B",
    confidence: int = 90,
    days: float = 0,
    *,
    kind: str = "stream",
    origin: str = "",
    derived_from: Sequence[str] = (),
    tags: Sequence[str] = (),
    malware: str | None = None,
    until: float | None = None,
    retracted: bool = False,
    listed_days: float | None = None,
) -> StoredAssertion:
    """The assertion of a source that saw the observable some days ago.

    Args:
        listed_days: of a snapshot, since when its list came no more; it states no date then.
    """
    seen = days_ago(days)
    observed = seen if listed_days is None else days_ago(listed_days)
    return StoredAssertion(
        "acme",
        name,
        name,
        "clear",
        seen,
        GRADES[grade],
        confidence,
        tuple(tags),
        (),
        malware,
        seen if listed_days is None else observed,
        None if until is None else days_ago(-until),
        days_ago(0) if retracted else None,
        kind,
        None,
        observed if kind == "snapshot" and listed_days is not None else NOW,
        origin,
        tuple(derived_from),
    )


def listed(name: str, grade: str = "B", confidence: int = 90, **more: Any) -> StoredAssertion:
    """The assertion of a list that names the observable today."""
    return source(name, grade, confidence, kind="snapshot", listed_days=0, **more)


def seen(place: str = "proxy", times: int = 1, days: float = 0) -> SightingRow:
    return SightingRow("", "seen", times, place, "", days_ago(days), days_ago(days), "sensor")


def confirmed(actor: str = "kim", days: float = 0) -> SightingRow:
    at = days_ago(days)
    return SightingRow("", "confirmed-malicious", 1, "", "", at, at, actor)


def harmless(actor: str = "kim", days: float = 0) -> SightingRow:
    return SightingRow("", "false-positive", 1, "", "", days_ago(days), days_ago(days), actor)


def answer(enricher: str, *weights: float, days: float = 0) -> EnrichmentWeight:
    weighed = [(weight, f"{enricher} says so") for weight in weights]
    return EnrichmentWeight(
        enricher, weighed, days_ago(days), days_ago(days - 30), origin_of(enricher)
    )


class Scenario(NamedTuple):
    """What is stored about a value, and what an analyst expects.

    Attributes:
        low, high: between which scores the outcome is right.
        why: one sentence: the reason for the expectation.
        numbers: least and most of other numbers of the assessment, by name.
    """

    title: str
    type: str
    value: str
    low: int
    high: int
    why: str
    assertions: Sequence[StoredAssertion] = ()
    sightings: Sequence[SightingRow] = ()
    answers: Sequence[EnrichmentWeight] = ()
    numbers: dict[str, tuple[float, float]] = {}  # noqa: RUF012  # a tuple's default, never changed


class Outcome(NamedTuple):
    """The score and the assessment of a scenario."""

    score: int
    assessment: Assessment


@cache
def _enrichers() -> tuple[AllowLists, KnownExploitedEnricher]:
    entry = {
        "cveID": "CVE-2021-44228",
        "dateAdded": "2021-12-10",
        "knownRansomwareCampaignUse": "Known",
        "vulnerabilityName": "Apache Log4j2",
    }
    catalog = {"catalogVersion": "2026.11.01", "vulnerabilities": [entry]}
    lists = AllowLists(WarningListIndex(pack(bundled())))
    packed = kev_catalog.pack([("kev.json", json.dumps(catalog).encode())])
    return lists, KnownExploitedEnricher(KevCatalog(packed))


def play(scenario: Scenario) -> Outcome:
    """Score a scenario as the service does."""
    effects = []
    for enricher in _enrichers():
        if scenario.type in enricher.types:
            (facts,) = enricher.enrich(scenario.type, (scenario.value,))
            effects += enricher.effects(facts) if facts else []
    claims, lowering = reported_claims(scenario.sightings, scenario.answers)
    all_effects = (*effects, *lowering)
    seen_at = seen_times(scenario.sightings)
    score = evaluate(scenario.type, scenario.assertions, claims, all_effects, NOW, seen_at).score
    parts = assessed_score(
        scenario.type, scenario.assertions, claims, all_effects, scenario.sightings, NOW
    )
    return Outcome(score, assess(scenario.type, score, parts.numbers))

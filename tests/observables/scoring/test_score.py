"""The score: bounded, monotone, fading, and equal to the sum of its parts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.scoring.claims import Claim, Effect
from services.observables.scoring.decay import THRESHOLDS, curve_of, next_crossing
from services.observables.scoring.due_time import due
from services.observables.scoring.score import (
    contributions,
    score,
    sighting_weight,
    source_weight,
    total,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
percent = st.integers(0, 100)
types = st.sampled_from(["ipv4-addr", "domain-name", "file-sha256", "mutex", "vulnerability"])
moments = st.integers(-600 * 24, 60 * 24).map(lambda hours: NOW + timedelta(hours=hours))
weights = st.builds(source_weight, percent, percent)
names = st.text(max_size=5)
ends = st.none() | moments
origins = st.sampled_from(["", "", "a", "b", "c"])
derivations = st.sampled_from([(), (), (), ("a",), ("b", "c"), ("d",)])


def claim_of(reliability: int, confidence: int, **fields: Any) -> Claim:
    return Claim(
        "source",
        weight=source_weight(reliability, confidence),
        reliability=reliability,
        **fields,
    )


claim = st.builds(
    claim_of,
    st.sampled_from([20, 40, 50, 60, 80, 100]),
    percent,
    name=names,
    since=moments,
    origin=origins,
    derived_from=derivations,
    threat=st.sampled_from(["", "phishing", "scanner", "exploited"]),
    dated=st.none() | moments,
)
claims = st.lists(claim, max_size=8)
effect = st.builds(
    Effect,
    st.sampled_from(["enrichment", "hosting"]),
    names,
    st.floats(-1, 1),
    until=st.none(),
    dated=st.none(),
)
doubts = st.builds(
    Effect, st.just("false-positive"), names, st.just(-0.8), until=st.none(), dated=moments
)
effects = st.lists(effect, max_size=4)
# What remote enrichers said counts until a moment.
enrichment_claims = st.builds(
    Claim,
    st.just("enrichment"),
    names,
    st.floats(0, 1),
    moments,
    until=ends,
    origin=origins,
    derived_from=derivations,
    dated=st.none(),
)
enrichment_effects = st.builds(
    Effect, st.just("enrichment"), names, st.floats(-1, 0), until=ends, dated=st.none()
)


def fresh(*weights: float) -> list[Claim]:
    return [Claim("source", str(number), weight, NOW) for number, weight in enumerate(weights)]


@given(
    types,
    st.lists(claim | enrichment_claims, max_size=8),
    st.lists(effect | enrichment_effects | doubts, max_size=4),
    moments,
)
def test_contributions_add_up_to_the_score(
    kind: str, claimed: list[Claim], lowering: list[Effect], now: datetime
) -> None:
    parts = contributions(kind, claimed, lowering, now)
    assert score(kind, claimed, lowering, now) == total(parts)
    assert sum(part.points for part in parts) == pytest.approx(total(parts), abs=0.5 + 1e-6)
    assert len(parts) == sum(
        part.until is None or part.until > now for part in (*claimed, *lowering)
    )


@given(types, claims, effects, claim, moments)
def test_another_voice_never_lowers_the_score(
    kind: str, claimed: list[Claim], lowering: list[Effect], another: Claim, now: datetime
) -> None:
    assert score(kind, [*claimed, another], lowering, now) >= score(kind, claimed, lowering, now)


@given(types, claims, effects, st.randoms(), moments)
def test_the_order_of_voices_does_not_matter(
    kind: str, claimed: list[Claim], lowering: list[Effect], random, now: datetime
) -> None:
    shuffled = random.sample(claimed, len(claimed))
    assert score(kind, shuffled, random.sample(lowering, len(lowering)), now) == score(
        kind, claimed, lowering, now
    )


@given(types, claims, effects, moments, st.integers(0, 10_000))
def test_time_only_takes_away(
    kind: str, claimed: list[Claim], lowering: list[Effect], now: datetime, hours: int
) -> None:
    assert score(kind, claimed, lowering, now + timedelta(hours=hours)) <= score(
        kind, claimed, lowering, now
    )


@given(types, st.lists(claim, min_size=1, max_size=4), effects, moments)
def test_no_threshold_is_crossed_before_the_score_is_due(
    kind: str, claimed: list[Claim], lowering: list[Effect], now: datetime
) -> None:
    points = score(kind, claimed, lowering, now)
    moment = due(kind, claimed, lowering, now, points)
    below = next((threshold for threshold in THRESHOLDS if threshold <= points), None)
    if moment is None:
        assert below is None or score(kind, claimed, lowering, now + timedelta(days=5000)) >= below
    else:
        assert moment > now
        assert below is not None
        assert score(
            kind, claimed, lowering, moment - timedelta(seconds=2)
        ) >= below or moment - now < timedelta(seconds=3)


@given(
    st.sampled_from(["ipv4-addr", "domain-name", "mutex"]),
    st.lists(weights, min_size=1, max_size=4).map(tuple),
)
def test_the_bound_is_exact_for_voices_of_one_age(kind: str, claimed: tuple[float, ...]) -> None:
    claims = fresh(*claimed)
    points = score(kind, claims, (), NOW)
    moment = next_crossing(curve_of(kind), claimed, 1.0, NOW, points)
    if moment is not None:
        below = next(threshold for threshold in THRESHOLDS if threshold <= points)
        assert score(kind, claims, (), moment + timedelta(minutes=1)) < below


def test_examples_that_people_can_check() -> None:
    assert score("ipv4-addr", [], [], NOW) == 0
    assert score("ipv4-addr", fresh(0.72), [], NOW) == 72
    assert score("ipv4-addr", fresh(0.5, 0.5), [], NOW) == 75
    assert score("ipv4-addr", fresh(0.72), [Effect("allow-list", "a", -0.8)], NOW) == 14
    assert score("ipv4-addr", [], [Effect("enrichment", "a", 0.9)], NOW) == 0


def test_half_of_an_address_is_gone_after_a_fortnight_and_half_of_a_file_after_eight_months() -> (
    None
):
    def left(kind: str, days: int) -> float:
        return curve_of(kind).left(timedelta(days=days))

    assert left("ipv4-addr", 15) == pytest.approx(0.5, abs=0.02)
    assert left("file-sha256", 246) == pytest.approx(0.5, abs=0.02)
    assert left("ipv4-addr", 47) == 0
    assert left("ipv4-addr", -5) == 1


def test_seen_more_often_is_more_relevant() -> None:
    seen = [sighting_weight(count) for count in (0, 1, 2, 10, 1000)]
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 0.9


def test_what_does_not_count_any_more_does_not_hold_the_next_look_back() -> None:
    now = datetime(2026, 3, 8, tzinfo=UTC)
    counts = Claim("source", "feed", 0.4, now)
    lapsed = Claim(
        "enrichment", "probe", 0.9, now - timedelta(days=7), until=now - timedelta(days=1)
    )
    points = score("ipv4-addr", [counts], [], now)
    alone = due("ipv4-addr", [counts], [], now, points)
    assert score("ipv4-addr", [counts, lapsed], [], now) == points
    together = due("ipv4-addr", [counts, lapsed], [], now, points)
    assert together is not None
    assert alone is not None
    assert together <= alone

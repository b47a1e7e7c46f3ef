"""The parts of each of the three numbers add up to it, and the score is one of the numbers."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.observables.scoring.assessment import assess, assessed_score, other_numbers
from services.observables.scoring.claims import Contribution
from services.observables.scoring.decay import CONTENT
from services.observables.scoring.inputs import SightingRow, StoredAssertion, evaluate
from services.observables.scoring.score import total
from tests.observables.scoring.test_score import (
    NOW,
    doubts,
    effect,
    enrichment_claims,
    enrichment_effects,
    moments,
    percent,
    types,
)

answers = st.lists(
    enrichment_claims.map(
        lambda claim: claim._replace(copies=(), reliability=100, source_id="", threat="")
    ),
    max_size=3,
)
past = moments.filter(lambda moment: moment <= NOW)
measurements = st.sampled_from(
    ["", '{"copies":{"1":0.9}}', '{"reliability":35}', '{"copies":{"2":0.4},"reliability":90}']
)
assertions = st.lists(
    st.builds(
        StoredAssertion,
        tenant=st.just("acme"),
        source=st.sampled_from(["a", "b", "c", "d"]),
        source_id=st.sampled_from(["1", "2", "3", "4"]),
        tlp=st.just("clear"),
        first_seen=past,
        reliability=st.sampled_from([20, 40, 50, 60, 80, 100]),
        confidence=percent,
        tags=st.sampled_from([(), ("phishing",), ("scanner",)]),
        attack=st.just(()),
        malware=st.none(),
        last_seen=past,
        valid_until=st.none() | moments,
        retracted_at=st.none() | st.none() | past,
        kind=st.sampled_from(["snapshot", "stream"]),
        confirmed_at=st.none() | past,
        observed_at=past,
        origin=st.sampled_from(["", "x", "y"]),
        derived_from=st.sampled_from([(), ("x",)]),
        measurements=measurements,
    ),
    max_size=5,
    unique_by=lambda row: row.source_id,
)
sightings = st.lists(
    st.builds(
        SightingRow,
        st.uuids().map(str),
        st.sampled_from(["seen", "seen", "confirmed-malicious", "false-positive"]),
        st.integers(1, 1_000),
        st.sampled_from(["", "proxy", "mail"]),
        st.just(""),
        past,
        past,
        st.sampled_from(["kim", "lee"]),
    ),
    max_size=4,
)


def points(parts: list[Contribution]) -> float:
    return sum(part.points for part in parts)


@settings(max_examples=500)
@given(
    types,
    assertions,
    answers,
    st.lists(effect | enrichment_effects | doubts, max_size=3),
    sightings,
)
def test_the_parts_of_each_number_add_up_to_it(
    kind: str,
    rows: list[StoredAssertion],
    reported: list,
    lowering: list,
    seen: list[SightingRow],
) -> None:
    scored = assessed_score(kind, rows, reported, lowering, seen, NOW)
    score = total(scored.contributions)
    assessment = assess(kind, score, scored.numbers)
    for name in ("malicious", "active", "relevant"):
        number = getattr(assessment, name)
        assert 0 <= number <= 100
        parts = getattr(scored.numbers, name)
        assert points(parts) == pytest.approx(number, abs=0.5 + 1e-6)
        assert all(0 <= part.share <= 1 and 0 <= part.left <= 1 for part in parts)
    assert points(scored.contributions) == pytest.approx(score, abs=0.5 + 1e-6)
    # The score of answers is the stored one, and it is one of the three numbers.
    times = tuple(sorted(each.last_seen for each in seen if each.kind == "seen"))
    assert evaluate(kind, rows, reported, tuple(lowering), NOW, times).score == score
    if kind not in CONTENT:
        assert score == assessment.active
    msgspec.json.encode(scored.numbers)


@given(types, assertions, answers, sightings)
def test_an_event_tells_the_numbers_of_the_answer(
    kind: str, rows: list[StoredAssertion], reported: list, seen: list[SightingRow]
) -> None:
    active = [row for row in rows if row.active(NOW)]
    scored = assessed_score(kind, active, reported, (), seen, NOW)
    score = total(scored.contributions)
    assessment = assess(kind, score, scored.numbers)
    numbers = other_numbers(kind, score, active, reported, (), seen, NOW)
    for name in ("malicious", "active"):
        number = getattr(numbers, name)
        # Evidence of the last day has hardly faded: an event leaves out what is as its score says.
        assert abs((score if number is None else number) - getattr(assessment, name)) <= 8
    assert (numbers.relevant or 0) == assessment.relevant

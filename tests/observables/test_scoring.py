"""The score: bounded, monotone, and equal to the sum of its parts."""

from hypothesis import given
from hypothesis import strategies as st

from services.observables.scoring import Claim, contributions, rounded, score, single

percent = st.integers(0, 100)
claims = st.lists(st.builds(Claim, st.text(max_size=5), percent, percent), max_size=8)


@given(claims)
def test_contributions_add_up_to_the_score(found: list[Claim]) -> None:
    parts = contributions(found)
    assert score(found) == rounded(parts)
    assert all(part.points >= 0 for part in parts)
    assert 0 <= score(found) <= 100


@given(claims, st.builds(Claim, st.text(max_size=5), percent, percent))
def test_another_source_never_lowers_the_score(found: list[Claim], another: Claim) -> None:
    assert score([*found, another]) >= score(found)


@given(claims, st.randoms())
def test_the_order_of_claims_does_not_matter(found: list[Claim], random) -> None:
    shuffled = random.sample(found, len(found))
    assert score(shuffled) == score(found)


@given(percent, percent)
def test_one_claim_has_a_short_cut(reliability: int, confidence: int) -> None:
    assert single(reliability, confidence) == score([Claim("a", reliability, confidence)])


def test_examples_that_people_can_check() -> None:
    assert score([]) == 0
    assert score([Claim("a", 80, 90)]) == 72
    assert score([Claim("a", 100, 100)]) == 100
    assert score([Claim("a", 50, 100), Claim("b", 50, 100)]) == 75

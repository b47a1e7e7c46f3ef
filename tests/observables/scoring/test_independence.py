"""Witnesses: copies add nothing, the order does not matter, and measured copying discounts."""

from hypothesis import given
from hypothesis import strategies as st

from services.observables.scoring.independence import Witness, evidence_of, shares, weight_of

strengths = st.floats(0.01, 0.99)
origins = st.sampled_from("abcd")
derivations = st.sampled_from([(), (), ("a",), ("a", "b"), ("c",), ("x",)])
witnesses = st.lists(
    st.builds(
        lambda name, origin, derived, weight: Witness(name, origin, derived, evidence_of(weight)),
        st.uuids().map(str),
        origins,
        derivations,
        strengths,
    ),
    max_size=8,
)


def combined(entries: list[Witness], copying=None) -> float:
    ordered = sorted(entries, key=lambda entry: (-entry.evidence, entry.name))
    counted = shares(ordered, copying or {})
    return sum(entry.evidence * share for entry, share in zip(ordered, counted, strict=True))


@given(witnesses, witnesses)
def test_further_witnesses_never_lower_the_evidence(some: list[Witness], more: list[Witness]):
    assert combined([*some, *more]) >= combined(some) - 1e-9


@given(witnesses)
def test_a_witness_who_is_repeated_by_copies_moves_nothing(entries: list[Witness]):
    copies = [
        entry._replace(name=f"copy of {entry.name}", origin=f"copier {entry.name}",
                       derived_from=(entry.origin,))
        for entry in entries
        if not entry.derived_from
    ]  # fmt: skip
    before = combined(entries)
    assert abs(100 * weight_of(combined([*entries, *copies])) - 100 * weight_of(before)) < 2


@given(witnesses)
def test_shares_lie_between_nothing_and_all_and_an_origin_counts_once(entries: list[Witness]):
    ordered = sorted(entries, key=lambda entry: (-entry.evidence, entry.name))
    counted = shares(ordered)
    assert all(0 <= share <= 1 + 1e-9 for share in counted)
    direct = {entry.origin for entry in entries if not entry.derived_from}
    assert sum(counted) <= len(direct) + 1 + 1e-9


def test_measured_copying_discounts_the_weaker_claim():
    pair = [Witness("a", "a", (), evidence_of(0.8)), Witness("b", "b", (), evidence_of(0.6))]
    assert shares(pair) == [1.0, 1.0]
    assert shares(pair, {frozenset({"a", "b"}): 0.75}) == [1.0, 0.25]
    assert shares(pair, {frozenset({"a", "b"}): 1.0}) == [1.0, 0.0]
    third = [*pair, Witness("c", "c", (), evidence_of(0.5))]
    copying = {frozenset({"a", "c"}): 0.5, frozenset({"b", "c"}): 0.5}
    assert shares(third, copying) == [1.0, 1.0, 0.25]


def test_evidence_and_weight_are_inverse():
    for weight in (0.0, 0.2, 0.5, 0.99):
        assert abs(weight_of(evidence_of(weight)) - weight) < 1e-9

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


def combined(entries: list[Witness]) -> float:
    ordered = sorted(entries, key=lambda entry: (-entry.evidence, entry.name))
    counted = shares(ordered)
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


def copier(name: str, weight: float, *copies: tuple[str, float]) -> Witness:
    return Witness(name, name, (), evidence_of(weight), copies)


def test_of_what_is_copied_only_what_goes_beyond_it_counts():
    original = copier("a", 0.8)
    assert shares([original, copier("b", 0.6)]) == [1.0, 1.0]
    assert shares([original, copier("b", 0.6, ("a", 0.75))]) == [1.0, 0.25]
    assert shares([original, copier("b", 0.6, ("a", 1.0))]) == [1.0, 0.0]
    surer = shares([copier("b", 0.8, ("a", 1.0)), copier("a", 0.6)])
    rest = evidence_of(0.8) - evidence_of(0.6)
    assert surer == [rest / evidence_of(0.8), 1.0]


def test_an_aggregator_of_two_independent_sources_adds_nothing():
    two = [copier("a", 0.7), copier("b", 0.6)]
    aggregator = copier("c", 0.65, ("a", 1.0), ("b", 1.0))
    assert abs(combined([*two, aggregator]) - combined(two)) < 0.1


def test_the_original_is_worth_as_much_through_its_copiers_alone():
    mirrors = [copier("b", 0.7, ("a", 1.0)), copier("c", 0.7, ("a", 1.0), ("b", 1.0))]
    assert combined([copier("a", 0.7), *mirrors]) == combined(mirrors) == evidence_of(0.7)


copied = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.3, 1.0)), max_size=3)


@given(st.lists(st.tuples(strengths, copied, derivations), min_size=1, max_size=6))
def test_the_strongest_claim_counts_whatever_copies_are_measured(parts):
    entries = [
        Witness(name, name, derived, evidence_of(weight), tuple(copies))
        for name, (weight, copies, derived) in zip("abcdef", parts, strict=False)
        if not derived
    ]
    if entries:
        strongest = max(entry.evidence for entry in entries)
        assert combined(entries) >= strongest - 1e-9


def test_evidence_and_weight_are_inverse():
    for weight in (0.0, 0.2, 0.5, 0.99):
        assert abs(weight_of(evidence_of(weight)) - weight) < 1e-9

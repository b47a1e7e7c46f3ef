"""What one version changes against another."""

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.mitre.releases.bundle import read_release
from services.mitre.releases.cards import Technique
from services.mitre.releases.diff import ReleaseDiff, compare, mark_removed


def test_every_kind_of_change_is_named(two_versions: tuple[bytes, bytes]) -> None:
    first, second = (read_release(content).techniques for content in two_versions)

    diff = compare(first, second)

    assert diff == ReleaseDiff(
        added=["T1008", "T1009"],
        changed=["T1002", "T1003"],
        renamed={"T1003": ("Old name", "New name")},
        revoked=["T1004"],
        deprecated=["T1005"],
        removed=["T1006", "T1007"],
        moved={"T1007": "T1008"},
    )
    assert diff.touched == ["T1002", "T1003", "T1004", "T1005", "T1008", "T1009"]
    assert (second["T1004"].revoked_by, second["T1001.001"].parent) == ("T1001.001", "T1001")


def test_a_first_version_adds_everything_and_itself_nothing(starter: Path) -> None:
    cards = read_release(starter.read_bytes()).techniques

    assert compare({}, cards) == ReleaseDiff(added=sorted(cards))
    assert compare(cards, cards) == ReleaseDiff()


def test_the_last_card_of_a_removed_technique_ends_it() -> None:
    card = Technique(attack_id="T1001", stix_id="attack-pattern--1", name="Gone")

    assert mark_removed(card, None).deprecated
    moved = mark_removed(card, "T1002")
    assert (moved.revoked, moved.revoked_by) == (True, "T1002")


CARDS = st.builds(
    Technique,
    attack_id=st.just(""),
    stix_id=st.sampled_from(["a", "b", "c"]),
    name=st.sampled_from(["x", "y"]),
    revoked=st.booleans(),
    deprecated=st.booleans(),
)
VERSIONS = st.dictionaries(st.sampled_from(["T1", "T2", "T3", "T4"]), CARDS).map(
    lambda cards: {key: msgspec.structs.replace(card, attack_id=key) for key, card in cards.items()}
)


@given(VERSIONS, VERSIONS)
def test_the_diff_accounts_for_every_difference_once(
    before: dict[str, Technique], after: dict[str, Technique]
) -> None:
    diff = compare(before, after)

    listed = [*diff.added, *diff.changed, *diff.revoked, *diff.deprecated, *diff.removed]
    assert sorted(listed) == sorted(
        key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
    )
    rebuilt = {**before, **{key: after[key] for key in diff.touched}}
    assert {key: card for key, card in rebuilt.items() if key not in diff.removed} == after
    assert set(diff.renamed) <= set(diff.changed)
    assert set(diff.moved) <= set(diff.removed)

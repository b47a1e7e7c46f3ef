"""Markings: each spelling of a level, unknown ones closed, and the strictest of many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stix.markings import (
    MARKINGS,
    UNKNOWN_MARKING,
    marking_of,
    marking_of_tag,
    marking_tags,
    strictest,
    tlp_tag,
)


@pytest.mark.parametrize(
    ("tag", "marking"),
    [
        ("tlp:white", "clear"),
        ("TLP:CLEAR", "clear"),
        ("tlp:green", "green"),
        ('tlp="amber"', "amber"),
        ("TLP: AMBER", "amber"),
        ("tlp:amber+strict", "amber+strict"),
        ("TLP:AMBER-STRICT", "amber+strict"),
        ("tlp-red", "red"),
        ("tlp:ex:chr", "closed"),
        ("tlp:unclear", "closed"),
        ("tlp:purple", "closed"),
        ("PAP:RED", "closed"),
        ("pap:amber", None),
        ("pap:white", None),
        ("pap:blue", "closed"),
        (UNKNOWN_MARKING, "closed"),
        ("marking:reviewed", None),
        ("statement:Copyright 2026", None),
        ("c2", None),
        ("tlprs", None),
        ("paper", None),
        ("", None),
    ],
)
def test_a_tag_states_its_marking(tag: str, marking: str | None) -> None:
    assert marking_of_tag(tag) == marking


@given(st.lists(st.none() | st.sampled_from(MARKINGS)))
def test_the_strictest_marking_counts(markings: list[str | None]) -> None:
    places = [MARKINGS.index(marking) for marking in markings if marking is not None]
    assert strictest(markings) == (MARKINGS[max(places)] if places else None)


def test_the_stricter_of_object_and_source_counts() -> None:
    assert marking_of(("c2", "tlp:red"), "green") == "red"
    assert marking_of(("tlp:clear",), "amber") == "amber"
    assert marking_of(("c2",), "") is None
    assert marking_of((), "level of a later version") == "closed"


def test_levels_of_tlp_1_get_the_words_of_tlp_2() -> None:
    assert [tlp_tag(word) for word in ("WHITE", "Amber+Strict", "mauve")] == [
        "tlp:clear",
        "tlp:amber+strict",
        "tlp:mauve",
    ]


def test_tags_that_state_markings_are_found_among_others() -> None:
    assert marking_tags(["c2", "tlp:red", "pap:amber", "PAP:RED"]) == ["tlp:red", "PAP:RED"]

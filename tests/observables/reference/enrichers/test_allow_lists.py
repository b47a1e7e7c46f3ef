"""Allow-lists: the facts about values that are on lists, and their effects on the score."""

import json
from typing import ClassVar

import pytest

from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import pack
from shared.stix import ObservableType
from tests.observables.reference.enrichers.contract import OfflineContract


def a_list(name: str, category: str, kind: str, *entries: str) -> tuple[str, bytes]:
    document = {
        "name": name,
        "version": 1,
        "type": kind,
        "category": category,
        "list": list(entries),
    }
    return name, json.dumps(document).encode()


BLOB = pack(
    [
        a_list("resolvers", "false_positive", "cidr", "8.8.8.0/24"),
        a_list("popular", "known", "hostname", "google.com"),
        a_list("documentation", "special", "cidr", "192.0.2.0/24"),
        *(a_list(f"list {number}", "known", "string", "everywhere.com") for number in range(15)),
    ]
)
ENRICHER = AllowLists(WarningListIndex(BLOB))


class TestContract(OfflineContract):
    described: ClassVar = {str(type_): list[str]() for type_ in ObservableType} | {
        "ipv4-addr": ["8.8.8.8", "192.0.2.1"],
        "domain-name": ["www.google.com", "everywhere.com"],
        "url": ["http://www.google.com/x", "http://8.8.8.8/"],
    }
    undescribed: ClassVar = {str(type_): ["x"] for type_ in ObservableType} | {
        "ipv4-addr": ["45.1.2.3"],
        "ipv6-addr": ["2001:4860::1"],
        "domain-name": ["evil.com"],
        "url": ["http://evil.com/"],
    }

    @classmethod
    def make(cls):
        return AllowLists(WarningListIndex(BLOB))

    def test_the_samples_are_canonical(self):
        """Types without samples have the value `x`, which need not be canonical."""


def about(type_, value):
    return ENRICHER.enrich(type_, [value])[0]


def test_a_hit_says_list_category_kind_and_entry():
    assert about("ipv4-addr", "8.8.8.8") == {
        "hits": [["resolvers", "false_positive", "cidr", "8.8.8.0/24"]]
    }


@pytest.mark.parametrize(
    ("type_", "value", "weight"),
    [("ipv4-addr", "8.8.8.8", -0.8), ("domain-name", "www.google.com", -0.3)],
)
def test_the_category_says_how_much_is_taken(type_, value, weight):
    (effect,) = ENRICHER.effects(about(type_, value))
    assert effect.weight == weight


def test_special_purpose_ranges_take_nothing():
    assert list(ENRICHER.effects(about("ipv4-addr", "192.0.2.1"))) == []


def test_many_hits_take_no_more_than_the_strongest_and_are_told_up_to_ten():
    facts = about("domain-name", "everywhere.com")
    assert (len(facts["hits"]), facts["more"]) == (10, 5)
    (effect,) = ENRICHER.effects(facts)
    assert effect.weight == -0.3

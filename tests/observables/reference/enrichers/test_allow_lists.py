"""Allow-lists: the facts about values that are on lists, and their effects on the score."""

import json
from typing import ClassVar

import msgspec
import pytest

from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.list_effects import list_effects
from services.observables.reference.warning_list_index import WarningListIndex
from services.observables.reference.warning_lists import bundled, pack
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


def test_a_hit_says_list_category_kind_entry_and_effect():
    assert about("ipv4-addr", "8.8.8.8") == {
        "hits": [["resolvers", "false_positive", "cidr", "8.8.8.0/24", "harmless"]]
    }


@pytest.mark.parametrize(
    ("type_", "value", "weights"),
    [
        ("ipv4-addr", "8.8.8.8", [-0.95]),
        ("domain-name", "google.com", [-0.3]),
        ("domain-name", "www.google.com", []),
        ("ipv4-addr", "192.0.2.1", []),
    ],
)
def test_a_list_without_a_name_here_is_judged_by_its_category(type_, value, weights):
    effects = ENRICHER.effects(about(type_, value))
    assert [effect.weight for effect in effects] == weights


def test_many_hits_take_no_more_than_the_strongest_and_are_told_up_to_ten():
    facts = about("domain-name", "everywhere.com")
    assert (len(facts["hits"]), facts["more"]) == (10, 5)
    (effect,) = ENRICHER.effects(facts)
    assert effect.weight == -0.3


def test_facts_that_were_stored_before_weigh_as_they_did():
    for category, weights in (("false_positive", [-0.8]), ("known", [-0.3]), ("special", [])):
        stored = {"hits": [["a list", category, "cidr", "8.8.8.0/24"]]}
        assert [effect.weight for effect in ENRICHER.effects(stored)] == weights


@pytest.fixture(scope="module")
def bundled_lists():
    return AllowLists(WarningListIndex(pack(bundled())))


def test_every_list_that_ships_has_an_effect():
    names = {msgspec.json.decode(data)["name"] for _, data in bundled()}
    assert names == set(list_effects().effects)


def test_every_effect_has_a_meaning_and_every_word_a_weight():
    data = list_effects()
    assert set(data.effects.values()) | {"own"} == set(data.places)
    words = {word for places in data.places.values() for word in places.values()}
    assert words == set(data.weights)


@pytest.mark.parametrize(
    ("type_", "value", "kind", "weight"),
    [
        ("url", "https://github.com/x/y/releases/download/evil.exe", None, 0),
        ("url", "https://raw.githubusercontent.com/x/y/main/a.ps1", None, 0),
        ("url", "https://www.dropbox.com/s/abc/evil.zip?dl=1", None, 0),
        ("url", "https://drive.google.com/uc?id=1", None, 0),
        ("domain-name", "evil.s3.amazonaws.com", None, 0),
        ("domain-name", "evil.duckdns.org", None, 0),
        ("domain-name", "evil.workers.dev", None, 0),
        ("domain-name", "github.com", "allow-list", -0.95),
        ("url", "https://github.com/", "allow-list", -0.95),
        ("domain-name", "facebook.com", "allow-list", -0.95),
        ("ipv4-addr", "8.8.8.8", "allow-list", -0.95),
        ("file-md5", "d41d8cd98f00b204e9800998ecf8427e", "allow-list", -0.95),
    ],
)
def test_a_platform_is_no_alibi_for_what_lies_on_it(bundled_lists, type_, value, kind, weight):
    (facts,) = bundled_lists.enrich(type_, [value])
    effects = [] if facts is None else bundled_lists.effects(facts)
    lowering = [effect for effect in effects if effect.kind == "allow-list"]
    assert [(effect.kind, effect.weight) for effect in lowering] == (
        [(kind, weight)] if kind else []
    )

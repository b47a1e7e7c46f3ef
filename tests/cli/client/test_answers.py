"""A lookup tells people all that the API knows about a value."""

from datetime import UTC, datetime
from typing import Any

from sentineliq.cli.client import answers
from sentineliq.cli.client.documents import ValueAnswer, decode

HIT = ["Public DNS resolvers", "known", "cidr", "8.8.8.8/32", "leading"]
STORED: dict[str, Any] = {
    "value": "login[.]example[.]com",
    "problem": None,
    "observable": {
        "id": "domain-name--1",
        "value": "login.example.com",
        "type": "domain-name",
        "score": 40,
        "verdict": "suspicious",
        "assessment": {"sentence": "Suspicious (40): 1 source, 1 independent."},
        "tags": ["phishing"],
        "attack": ["S0367"],
        "first_seen": "2026-11-20T08:00:00Z",
        "last_seen": "2026-11-29T08:00:00Z",
        "context": {"allow_lists": {"hits": [HIT]}, "domain_name": {"suffix": "com"}},
        "assertions": [
            {"source": "old", "retracted_at": "2026-11-25T08:00:00Z", "malware": "Gone"},
            {"source": "list", "retracted_at": None, "malware": "Emotet"},
        ],
    },
    "within": [{"type": "domain-name", "value": "example.com", "score": 45}],
}


def facts(**changes: Any) -> dict[str, str]:
    return answers.facts(decode(ValueAnswer, {**STORED, **changes}))


def test_the_canonical_value_and_what_is_around_it_are_told() -> None:
    pairs = facts()
    assert pairs["value"] == "login.example.com"
    assert pairs["verdict"] == "Suspicious (40): 1 source, 1 independent."
    assert pairs["sources"] == "list"
    assert pairs["family"] == "Emotet"
    assert pairs["ATT&CK"] == "S0367"
    assert pairs["allow-lists"] == "Public DNS resolvers (known: 8.8.8.8/32)"
    assert pairs["within"] == "example.com (domain-name, 45)"
    assert pairs["context"] == "domain name: suffix com"


def test_what_a_family_is_known_to_use_is_not_told_as_observed() -> None:
    assert "ATT&CK, inherited" not in facts()
    ids = ["S0367", "T1059", "T1486"]
    observable = {**STORED["observable"], "attack": ids, "attack_inherited": ids[1:]}
    pairs = facts(observable=observable)
    assert pairs["ATT&CK"] == "S0367"
    assert (
        pairs["ATT&CK, inherited"] == "2 techniques that these are known to use, not observed here"
    )


def test_a_value_that_is_not_stored_has_its_canonical_form_and_its_allow_lists() -> None:
    pairs = facts(
        observable=None,
        within=[],
        type="ipv4-addr",
        canonical="8.8.8.8",
        context={"allow_lists": {"hits": [HIT]}},
    )
    assert pairs == {
        "value": "8.8.8.8",
        "type": "ipv4-addr",
        "verdict": "Nothing is stored about it: no source names it.",
        "allow-lists": "Public DNS resolvers (known: 8.8.8.8/32)",
    }


def test_what_is_no_observable_says_why() -> None:
    pairs = facts(observable=None, within=[], problem="malformed hash: 12")
    assert pairs["verdict"] == "No observable: malformed hash: 12."


def test_ages_are_told_in_the_largest_unit() -> None:
    now = datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert answers.age("2026-11-29T08:00:00Z", now) == "1 day ago"
    assert answers.age("2026-11-30T05:30:00Z", now) == "2 hours ago"
    assert answers.age("2026-11-30T07:59:30Z", now) == "just now"

"""What of a bundle is a claim, and when it was made (STIX 2.1 §4.7, §4.14, §5)."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.feeds.formats.misp import MispFormat
from services.feeds.formats.stix import StixFormat
from services.feeds.formats.stix_pattern import comparisons
from tests.feeds.formats.contract import drops, pairs, parse

ADDRESS = "[ipv4-addr:value = '192.0.2.1']"
HASH = "a" * 32
REGISTRY = (
    "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\Run' "
    "AND windows-registry-key:values[0].name = 'evil']"
)
RESOLVED = (
    "[domain-name:value = 'evil.com' AND domain-name:resolves_to_refs[*].value = '192.0.2.1']"
)


def read(*objects):
    document = {"type": "bundle", "id": "bundle--1", "objects": list(objects)}
    return parse(StixFormat(), json.dumps(document).encode())


def indicator(pattern=ADDRESS, **more):
    return {
        "type": "indicator",
        "id": "indicator--1",
        "pattern": pattern,
        "pattern_type": "stix",
        **more,
    }


@pytest.mark.parametrize(
    ("pattern", "alone"),
    [
        (ADDRESS, ["192.0.2.1"]),
        (
            "[network-traffic:dst_ref.value = '8.8.8.8' AND network-traffic:dst_port = 53]",
            [],
        ),
        (
            "[network-traffic:dst_ref.value = '192.0.2.1' AND network-traffic:is_active = true]",
            ["192.0.2.1"],
        ),
        (
            "[url:value = 'http://a.example/x' AND domain-name:value = 'b.example']",
            [],
        ),
        (
            "[url:value = 'https://raw.example.com/x'] AND [domain-name:value = 'raw.example.com']",
            ["https://raw.example.com/x"],
        ),
        (
            REGISTRY,
            [],
        ),
        (f"[file:name = 'a.exe' AND file:hashes.MD5 = '{HASH}']", [HASH]),
        (
            f"[file:hashes.MD5 = '{HASH}' AND file:hashes.'SHA-1' = '{'b' * 40}']",
            [HASH, "b" * 40],
        ),
        (
            RESOLVED,
            ["evil.com"],
        ),
        (
            f"[file:hashes.MD5 = '{HASH}'] AND [file:hashes.MD5 = '{'b' * 32}']",
            [],
        ),
        (
            f"{ADDRESS} AND [domain-name:value = 'evil.example']",
            [],
        ),
        (
            f"{ADDRESS} OR [domain-name:value = 'evil.example']",
            ["192.0.2.1", "evil.example"],
        ),
    ],
)
def test_a_claim_is_what_alone_satisfies_the_pattern(pattern, alone):
    assert [part.value for part in comparisons(pattern) if not part.is_context] == alone


def test_the_other_parts_are_context_with_their_reason():
    pattern = "[url:value = 'http://a.example/x' AND domain-name:value = 'b.example']"
    whole = read(indicator(pattern))
    assert pairs(whole) == []
    assert drops(whole) == [("objects[0].pattern", "context")] * 2


def relations_of(pattern, **more):
    """What each indicator of a pattern names."""
    named = {}
    for record in read(indicator(pattern, **more)).indicators:
        named[record.value] = [(other.kind, other.type, other.value) for other in record.relations]
    return named


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (ADDRESS, {"192.0.2.1": []}),
        (RESOLVED, {"evil.com": [("resolves-to", "ipv4-addr", "192.0.2.1")]}),
        (
            f"[file:name = 'a.exe' AND file:hashes.MD5 = '{HASH}']",
            {HASH: [("related-to", "file-name", "a.exe")]},
        ),
        (
            f"[file:size = 5 AND file:hashes.MD5 = '{HASH}' AND file:hashes.MD5 = '{HASH}']",
            {HASH: []},
        ),
        (
            "[url:value = 'https://raw.example.com/x'] AND [domain-name:value = 'raw.example.com']",
            {"https://raw.example.com/x": [("related-to", "domain-name", "raw.example.com")]},
        ),
        (f"{ADDRESS} AND [domain-name:value = 'evil.example']", {}),
        (
            f"{RESOLVED} OR [domain-name:value = 'other.com']",
            {
                "evil.com": [("resolves-to", "ipv4-addr", "192.0.2.1")],
                "other.com": [],
            },
        ),
        (
            RESOLVED.replace("192.0.2.1", "not an address"),
            {"evil.com": []},
        ),
    ],
)
def test_a_claim_names_what_an_and_joins_to_it(pattern, expected):
    assert relations_of(pattern) == expected


def test_what_is_named_is_context_and_no_claim():
    whole = read(indicator(RESOLVED))
    assert pairs(whole) == [("domain-name", "evil.com")]
    assert drops(whole) == [("objects[0].pattern", "context")]


def test_a_pattern_of_many_names_gives_sixteen_relations():
    names = " AND ".join(f"file:name = '{number}.exe'" for number in range(40))
    assert len(relations_of(f"[file:hashes.MD5 = '{HASH}' AND {names}]")[HASH]) == 16


def test_parts_that_are_repeated_are_named_once():
    part = f"file:hashes.MD5 = '{HASH}'"
    claims = comparisons(f"[{' AND '.join([part] * 1000)}]")
    assert [len(claim.beside) for claim in claims] == [1] * 1000


def test_a_revoked_indicator_names_nothing():
    assert relations_of(RESOLVED, revoked=True) == {"evil.com": []}


@pytest.mark.parametrize("place", ["indicator_types", "labels"])
def test_what_is_benign_is_no_claim(place):
    whole = read(indicator(**{place: ["benign"]}))
    assert pairs(whole) == []
    assert drops(whole) == [("objects[0]", "benign")]


def test_what_is_not_valid_yet_is_no_claim():
    whole = read(indicator(valid_from=(datetime.now(UTC) + timedelta(days=400)).isoformat()))
    assert drops(whole) == [("objects[0]", "not valid yet")]


def test_what_was_observed_is_no_claim_against_it():
    victim = {"type": "email-addr", "id": "email-addr--1", "value": "victim@bank.com"}
    seen = {"type": "observed-data", "id": "observed-data--1", "object_refs": ["email-addr--1"]}
    inner = {
        "type": "observed-data",
        "id": "observed-data--2",
        "objects": {"0": {"type": "email-addr", "value": "other@bank.com"}},
    }
    bare = {"type": "domain-name", "id": "domain-name--1", "value": "evil.com"}
    assert pairs(read(victim, seen, inner, bare)) == [("domain-name", "evil.com")]


@pytest.mark.parametrize(
    ("opinion", "confidences"),
    [
        ("strongly-disagree", []),
        ("disagree", [40]),
        ("neutral", [80]),
        ("strongly-agree", [80]),
    ],
)
def test_an_opinion_doubts_what_it_is_about(opinion, confidences):
    about = {
        "type": "opinion",
        "id": "opinion--1",
        "opinion": opinion,
        "object_refs": ["indicator--1"],
    }
    whole = read(indicator(confidence=80), about)
    assert [record.confidence for record in whole.indicators] == confidences


def test_a_sighting_says_when_it_was_seen_last_and_is_no_claim():
    sighting = {
        "type": "sighting",
        "id": "sighting--1",
        "sighting_of_ref": "indicator--1",
        "last_seen": "2026-03-01T00:00:00Z",
    }
    (record,) = read(indicator(valid_from="2026-01-01T00:00:00Z"), sighting).indicators
    assert (record.first_seen, record.last_seen) == (
        "2026-01-01T00:00:00Z",
        "2026-03-01T00:00:00Z",
    )
    none = read(indicator(valid_from="2026-01-01T00:00:00Z"), {**sighting, "count": 0})
    assert none.indicators[0].last_seen == "2026-01-01T00:00:00Z"


def test_an_indicator_is_as_old_as_the_newest_date_that_it_states():
    dated = indicator(valid_from="2016-01-01T00:00:00Z", modified="2017-01-01T00:00:00Z")
    undated = {"type": "domain-name", "id": "domain-name--1", "value": "evil.com"}
    whole = read(dated, undated)
    assert [record.last_seen for record in whole.indicators] == ["2017-01-01T00:00:00Z"] * 2


def test_a_misp_attribute_is_as_old_as_it_or_its_event_states():
    event = {
        "Event": {
            "info": "old",
            "date": "2016-05-01",
            "timestamp": "1700000000",
            "Attribute": [
                {"type": "ip-dst", "value": "192.0.2.1", "to_ids": True, "timestamp": "1470000000"},
                {"type": "ip-dst", "value": "192.0.2.2", "to_ids": True},
                {
                    "type": "ip-dst",
                    "value": "192.0.2.3",
                    "to_ids": True,
                    "timestamp": "1470000000",
                    "last_seen": "2018-01-01T00:00:00Z",
                },
            ],
        }
    }
    whole = parse(MispFormat(), json.dumps(event).encode())
    assert [record.last_seen for record in whole.indicators] == [
        "2016-07-31T21:20:00Z",
        "2016-05-01T00:00:00Z",
        "2018-01-01T00:00:00Z",
    ]

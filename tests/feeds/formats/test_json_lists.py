"""Which list of a JSON document holds the indicators: its name speaks for it or against it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.json import JsonFormat
from tests.feeds.formats.contract import pairs, parse

PAGE = "https://feed.example.org/"
LISTS = (
    ["198.51.100.7", "one.example.com"],
    [{"ip": "198.51.100.7"}, {"ip": "198.51.100.8"}],
    ["198.51.100.7", "Global\\m"],
    [{"ip": "198.51.100.7"}, {"mutex": "x"}],
)
BESIDE = (
    ("source", {"url": PAGE}), ("feed", {"url": PAGE, "host": "feed.example.org"}),
    ("license", {"url": "https://license.example.org/"}), ("references", [PAGE]),
    ("links", [{"url": PAGE}]), ("allowlist", ["203.0.113.1"]), ("whitelist", ["203.0.113.1"]),
    ("benign", [{"ip": "203.0.113.1"}]), ("excludedDomains", ["good.example.com"]),
    ("false_positives", ["203.0.113.1"]), ("version", 1), ("safe", ["203.0.113.1"]),
    ("meta", {"ips": ["203.0.113.1"]}), ("legitimate", {"list": [{"ip": "203.0.113.1"}]}),
)  # fmt: skip


def read(document: object, **options: object) -> list[str]:
    return [
        value for _, value in pairs(parse(JsonFormat(), json.dumps(document).encode(), **options))
    ]


@given(
    name=st.sampled_from(("iocs", "blocklist", "malicious", "ips", "data", "indicators")),
    entries=st.sampled_from(LISTS),
    beside=st.lists(st.sampled_from(BESIDE), max_size=3, unique_by=lambda part: part[0]),
    place=st.integers(0, 3),
)
def test_neither_allowlists_nor_addresses_of_the_publisher_are_taken(name, entries, beside, place):
    parts = [*beside[:place], (name, entries), *beside[place:]]
    expected = read({name: entries, "version": 1})
    assert expected
    assert read(dict(parts)) == expected


@pytest.mark.parametrize(
    "document",
    [
        {"ip": "203.0.113.5", "blocked": ["198.51.100.7", "198.51.100.8"]},
        {"url": PAGE, "count": 2, "data": {"ips": ["198.51.100.7"]}},
        {"ips": ["198.51.100.7"], "domains": ["one.example.com", "no name"]},
        {"domain": "one.example.com", "resolutions": [{"ip": "198.51.100.7"}]},
        {"allowlist": ["203.0.113.1"]},
        {"count": 0, "data": [], "references": [PAGE]},
        {
            "198.51.100.7": {"domain": "one.example.com"},
            "198.51.100.8": {"domain": "x.example.com"},
        },
    ],
)
def test_a_doubt_is_refused_with_options_that_settle_it(document):
    with pytest.raises(AmbiguousDocument) as doubt:
        read(document)
    assert doubt.value.alternatives
    for choice in doubt.value.alternatives:
        assert read(document, **choice["options"])


@pytest.mark.parametrize(
    "document",
    [
        {"error": "rate limit", "url": "https://api.example.org/v1"},
        {"message": "Not found", "url": "https://api.example.org/v1"},
        {"success": False, "url": "https://api.example.org/v1"},
        {"status": "error", "url": "https://api.example.org/v1"},
    ],
)
def test_the_answer_of_a_server_that_failed_is_no_indicator(document):
    with pytest.raises(MalformedDocument, match="no list of items"):
        read(document)


@given(
    keys=st.lists(
        st.sampled_from(("198.51.100.7", "one.example.com", "2001:db8::1", "two.example.net")),
        min_size=1, max_size=4, unique=True,
    ),
    value=st.sampled_from(
        ({"reference": PAGE}, {"score": 5, "asn": "AS64500"}, {"tags": ["c2"]}, 5, ["c2"])
    ),
    within=st.sampled_from((None, "data", "result")),
)  # fmt: skip
def test_keys_that_are_observables_are_read(keys, value, within):
    keyed = dict.fromkeys(keys, value)
    assert read({within: keyed} if within else keyed) == keys


ROWS = [[1, "198.51.100.7", "9e107d9d372bb6826bd81d3542a419d6"], [2, "198.51.100.8", ""]]


@pytest.mark.parametrize(
    "document",
    [
        [["id", "ip", "ja3"], *ROWS],
        {"data": [["id", "ip", "ja3"], *ROWS]},
        {"columns": ["id", "ip", "ja3"], "data": ROWS},
        {"fields": [{"name": "id"}, {"name": "ip"}, {"name": "ja3"}], "rows": ROWS},
    ],
)
def test_rows_are_read_as_those_of_a_table(document):
    whole = parse(JsonFormat(), json.dumps(document).encode())
    assert pairs(whole) == [
        ("ipv4-addr", "198.51.100.7"),
        ("ja3", "9e107d9d372bb6826bd81d3542a419d6"),
        ("ipv4-addr", "198.51.100.8"),
    ]
    assert whole.account is not None
    assert not whole.account.left_out


@pytest.mark.parametrize(
    "item",
    [
        {"ioc": {"value": "198.51.100.7"}},
        {"reference": PAGE, "ioc": {"value": "198.51.100.7"}},
        {"_id": "9e107d9d372bb6826bd81d3542a419d6", "_source": {"ip": "198.51.100.7"}},
        {"a b": {"c-d": {"ip": "198.51.100.7"}}, "reporter": {"url": PAGE}},
        {"ip": "198.51.100.7", "to_ids": True},
    ],
)
def test_values_within_objects_of_an_item(item):
    assert read([item, item]) == ["198.51.100.7"] * 2
    assert read({"spec_version": "2.0", "items": [item]}) == ["198.51.100.7"]

"""JSON and JSON Lines by JMESPath."""

import json
from typing import ClassVar

import pytest

from services.feeds.formats.base import MalformedDocument
from services.feeds.formats.json import JsonFormat
from shared.errors import InvalidInput
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse

DOCUMENT = json.dumps(
    {
        "generated": "2026-11-23T10:00:00Z",
        "data": [
            {
                "indicator": "203.0.113.7",
                "kind": "ip",
                "seen": "2026-11-20 10:11:12",
                "labels": ["c2", "rat"],
                "score": 80,
            },
            {
                "indicator": "evil.example.com",
                "kind": "fqdn",
                "seen": None,
                "labels": [],
                "family": "Emotet",
            },
            {"indicator": "not one!", "kind": "ip"},
            {"kind": "ip"},
        ],
    },
    indent=1,
).encode()
LINES = (
    b'{"cidr":"198.51.100.0/24","sblid":"SBL1","rir":"ripencc"}\n'
    b'{"cidr":"203.0.113.0/25","sblid":"SBL2","rir":"apnic"}\n'
    b'{"type":"metadata","timestamp":1763900000,"records":2}\n'
)


class TestJson(FormatContract):
    format = JsonFormat()
    samples: ClassVar = [
        DOCUMENT,
        LINES,
        b'["203.0.113.1", "evil.example.com"]',
        b'[{"url": "http://evil.example.com/x"}]',
    ]

    def test_it_is_found_by_name_and_content(self):
        from services.feeds.formats import format_named, guess_format

        assert format_named("json").name == "json"
        for sample in (DOCUMENT, b'[{"url": "http://evil.example.com/x"}]', LINES):
            assert guess_format("feed", sample)[0] == "json"


def test_expressions_say_what_is_what():
    options = {
        "items": "data",
        "value": "indicator",
        "type_at": "kind",
        "types": {"ip": "ipv4-addr"},
    }
    options |= {"tags": "labels", "confidence": "score", "first_seen": "seen", "malware": "family"}
    batch = parse(JsonFormat(), DOCUMENT, **options)
    assert pairs(batch) == [("ipv4-addr", "203.0.113.7"), ("domain-name", "evil.example.com")]
    first, second = batch.indicators
    assert (first.tags, first.confidence, first.first_seen) == (
        ("c2", "rat"),
        80,
        "2026-11-20T10:11:12Z",
    )
    assert second.malware == "Emotet"
    assert drops(batch) == [("data[2]", "malformed IPv4 address"), ("data[3]", "no value")]


def test_values_are_found_where_they_usually_are():
    batch = parse(JsonFormat(), DOCUMENT)
    assert pairs(batch) == [("ipv4-addr", "203.0.113.7"), ("domain-name", "evil.example.com")]
    assert "'indicator'" in batch.notes[0]


def test_a_last_line_of_metadata_is_no_value():
    batch = parse(JsonFormat(), LINES, value="cidr")
    assert pairs(batch) == [("ipv4-addr", "198.51.100.0/24"), ("ipv4-addr", "203.0.113.0/25")]
    assert drops(batch) == [("line 3", "no value")]


def test_several_values_of_an_item():
    data = b'[{"sha256": "%s", "names": ["a.exe", "b.exe"]}]' % (b"a" * 64)
    assert len(parse(JsonFormat(), data, value=["sha256"]).indicators) == 1
    assert pairs(parse(JsonFormat(), data, value="names", type="file-name")) == [
        ("file-name", "a.exe"),
        ("file-name", "b.exe"),
    ]


def test_items_keyed_by_an_id():
    data = b'{"1": [{"ioc_value": "203.0.113.1"}], "2": [{"ioc_value": "203.0.113.2"}]}'
    assert len(parse(JsonFormat(), data).indicators) == 2


def test_a_family_for_all_that_name_none():
    data = b'[{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "m": "Qakbot"}]'
    batch = parse(JsonFormat(), data, value="ip", malware="m", family="Feodo")
    assert [record.malware for record in batch.indicators] == ["Feodo", "Qakbot"]


@pytest.mark.parametrize(
    ("data", "options", "place"),
    [
        (b"", {}, "empty"),
        (b'{"data": [', {}, "cut off"),
        (b"[" * 10_000 + b"]" * 10_000, {}, "deep"),
        (b'{"a": 1}', {}, "no list of items"),
        (b'[{"a": 1}]', {}, "no property holds observables"),
        (DOCUMENT, {"items": "nothing.here"}, "no list of items"),
        (b'{"data": [{"ip": "203.0.113.1", "x": NaN}]}', {}, "invalid"),
    ],
)
def test_documents_that_cannot_be_read(data, options, place):
    with pytest.raises(MalformedDocument, match=place):
        parse(JsonFormat(), data, **options)


@pytest.mark.parametrize("name", ["items", "value", "tags", "type_at", "first_seen"])
def test_an_expression_that_is_none_is_named(name):
    with pytest.raises(InvalidInput, match="JMESPath") as problem:
        parse(JsonFormat(), DOCUMENT, **{"value": "indicator", name: "a["})
    assert problem.value.details["field"] == f"options.{name}"


def test_of_a_duplicate_key_the_last_counts():
    assert pairs(parse(JsonFormat(), b'[{"ip": "203.0.113.1", "ip": "203.0.113.2"}]')) == [
        ("ipv4-addr", "203.0.113.2")
    ]


def test_a_long_document_on_one_line():
    data = json.dumps(
        [{"ip": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "x": "y" * 300} for n in range(20_000)]
    ).encode()
    assert len(parse(JsonFormat(), data).indicators) == 20_000


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"ioc": "one.example.com", "tags": ["victim.example.net"]}, ["one.example.com"]),
        ([{"Indicator": "one.example.com"}], ["one.example.com"]),
        ({"next": "https://api.example.org/2", "data": [{"ip": "192.0.2.1"}]}, ["192.0.2.1"]),
        ({"url": "https://api.example.org/2", "data": [{"ip": "192.0.2.1"}]}, ["192.0.2.1"]),
        ({"a": {"b": {"list": [{"value": "192.0.2.1"}], "n": 1}}}, ["192.0.2.1"]),
        ({"1": {"ip": "192.0.2.1"}, "2": {"ip": "192.0.2.2"}}, ["192.0.2.1", "192.0.2.2"]),
        ({"blocked": ["192.0.2.1", "192.0.2.2"]}, ["192.0.2.1", "192.0.2.2"]),
        ([{"ip": "192.0.2.1", "domain": "one.example.com"}], ["192.0.2.1", "one.example.com"]),
        ([{"ioc": "192.0.2.1", "reference": "https://blog.example.org/a"}], ["192.0.2.1"]),
    ],
)
def test_items_and_values_are_found(document, expected):
    whole = parse(JsonFormat(), json.dumps(document).encode())
    assert [value for _, value in pairs(whole)] == expected


@pytest.mark.parametrize(
    "document",
    [
        {"attackers": [{"ip": "192.0.2.1"}], "victims": [{"ip": "198.51.100.1"}]},
        [{"src_ip": "192.0.2.1", "dst_ip": "198.51.100.1"}],
    ],
)
def test_a_doubt_is_told_with_the_options_that_settle_it(document):
    data = json.dumps(document).encode()
    with pytest.raises(MalformedDocument, match="say by the option") as problem:
        parse(JsonFormat(), data)
    alternatives = problem.value.details["alternatives"]
    assert len(alternatives) >= 2
    for choice in alternatives:
        assert choice["format"] == "json"
        assert parse(JsonFormat(), data, **choice["options"]).indicators


def test_one_line_and_two_lines_are_read_alike():
    line = b'{"ioc":"one.example.com","tags":["victim.example.net"]}\n'
    other = line.replace(b"one", b"two")
    assert [value for _, value in pairs(parse(JsonFormat(), line))] == ["one.example.com"]
    assert [value for _, value in pairs(parse(JsonFormat(), line + other))] == [
        "one.example.com",
        "two.example.com",
    ]


def test_an_item_that_is_not_for_detection_is_left_out():
    items = [{"ioc": "192.0.2.1", "to_ids": "0"}, {"ioc": "192.0.2.2", "to_ids": True}]
    whole = parse(JsonFormat(), json.dumps({"items": items}).encode())
    assert pairs(whole) == [("ipv4-addr", "192.0.2.2")]
    assert drops(whole) == [("items[0]", "not for detection")]


def test_a_type_beside_a_guessed_value_is_binding():
    items = [
        {"type": "domain", "value": "example.com"},
        {"type": "domain", "value": "192.0.2.1"},
        {"type": "ip-dst", "value": "192.0.2.2"},
    ]
    whole = parse(JsonFormat(), json.dumps({"items": items}).encode())
    assert pairs(whole) == [("domain-name", "example.com"), ("ipv4-addr", "192.0.2.2")]
    assert drops(whole) == [("items[1]", "not a public suffix")]


def test_a_guess_gives_no_wide_networks_and_the_named_option_does():
    document = json.dumps([{"net": "10.0.0.0/8"}, {"net": "198.51.100.0/24"}]).encode()
    whole = parse(JsonFormat(), document)
    assert drops(whole) == [("$[0]", "network too wide")]
    assert "option `value`" in whole.dropped[0].detail
    assert len(pairs(parse(JsonFormat(), document, value="net"))) == 2

"""Observables of one entry know of each other."""

import json

import msgspec
import pytest

from services.feeds.formats.base import ParsedIndicator
from services.feeds.formats.csv import CsvFormat
from services.feeds.formats.entry_relations import MAX_LENGTH, MAX_RELATIONS, relate
from services.feeds.formats.json import JsonFormat
from services.feeds.formats.misp import MispFormat
from shared.events.feeds import MAX_INDICATOR_BYTES, Indicator
from tests.feeds.formats.contract import parse

HASH = "a" * 64


def relations(batch):
    return {
        (entry.value, relation.kind, relation.value)
        for entry in batch.indicators
        for relation in entry.relations
    }


def test_the_columns_of_a_row():
    table = (
        "ip,domain,url,sha256\n"
        f"192.0.2.1,a.example.com,https://a.example.com/x,{HASH}\n"
        f"192.0.2.2,b.example.com,https://b.example.com/x,{'b' * 64}\n"
    )
    assert relations(parse(CsvFormat(), table.encode())) >= {
        (HASH, "related-to", "192.0.2.1"),
        (HASH, "related-to", "a.example.com"),
        (HASH, "related-to", "https://a.example.com/x"),
    }


def test_a_list_in_a_cell():
    table = "domain\na.example.com; b.example.com\nc.example.com\n"
    assert relations(parse(CsvFormat(), table.encode(), columns={"value": "domain"})) == {
        ("a.example.com", "related-to", "b.example.com")
    }


def test_the_networks_of_a_range_are_one_thing():
    table = "start,end\n192.0.2.1,192.0.2.9\n198.51.100.1,198.51.100.9\n"
    whole = parse(CsvFormat(), table.encode())
    assert len(whole.indicators) > 2
    assert relations(whole) == set()


def test_an_address_with_many_domains_is_named_by_each():
    table = "ip,domain\n192.0.2.1,a.example.com\n192.0.2.1,b.example.com\n"
    assert relations(parse(CsvFormat(), table.encode(), columns={"value": ["ip", "domain"]})) == {
        ("a.example.com", "related-to", "192.0.2.1"),
        ("b.example.com", "related-to", "192.0.2.1"),
    }


def test_the_values_of_an_item():
    items = [{"ip": "192.0.2.1", "host": "a.example.com"}]
    whole = parse(JsonFormat(), json.dumps(items).encode(), value=["ip", "host"])
    assert relations(whole) == {("a.example.com", "related-to", "192.0.2.1")}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("domain|ip", "a.example.com|192.0.2.1", ("a.example.com", "resolves-to", "192.0.2.1")),
        ("filename|sha256", f"x.exe|{HASH}", (HASH, "related-to", "x.exe")),
    ],
)
def test_the_parts_of_an_attribute(kind, value, expected):
    document = {"Attribute": [{"type": kind, "value": value, "to_ids": True}]}
    assert relations(parse(MispFormat(), json.dumps(document).encode())) == {expected}


def test_one_value_has_no_relations():
    assert relations(parse(CsvFormat(), b"ip\n192.0.2.1\n192.0.2.2\n")) == set()
    same = [ParsedIndicator("url", "https://example.com/")] * 2
    relate(same)
    assert same[0].relations == ()


@pytest.mark.parametrize("length", [20, 8000])
def test_an_entry_of_any_size_fits_into_an_event(length):
    urls = [f"https://u{n}.example.com/{'x' * length}" for n in range(200)]
    items = [ParsedIndicator("url", url) for url in urls]
    relate(items)
    named = [relation.value for relation in items[0].relations]
    assert 0 < len(named) <= MAX_RELATIONS
    assert sum(map(len, named)) <= MAX_LENGTH
    text = msgspec.json.encode(items[0])
    assert len(text) < MAX_INDICATOR_BYTES
    assert len(msgspec.json.decode(text, type=Indicator).relations) == len(named)

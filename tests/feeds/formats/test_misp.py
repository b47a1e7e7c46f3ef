"""MISP events."""

import json

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.misp import MispFormat
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse


def attribute(kind, value, **more):
    return {"type": kind, "value": value, "to_ids": True, "deleted": False, **more}


EVENT = {
    "info": "A report",
    "Tag": [
        {"name": "tlp:clear"},
        {"name": 'misp-galaxy:mitre-attack-pattern="Malware - T1587.001"'},
    ],
    "Attribute": [
        attribute(
            "ip-dst",
            "192.0.2.1",
            Tag=[
                {"name": 'misp-galaxy:malpedia="Emotet"'},
                {"name": 'misp-galaxy:mitre-intrusion-set="APT28 - G0007"'},
                {"name": "c2"},
            ],
            comment="the first",
        ),
        attribute("domain|ip", "Evil.example.com|192.0.2.2"),
        attribute("ip-dst|port", "192.0.2.3|443"),
        attribute("filename|sha256", "x.exe|" + "A" * 64),
        attribute("url", "hxxp://example[.]com/a|b"),
        attribute("domain", "context.example.com", to_ids=False),
        attribute("domain", "gone.example.com", deleted=True),
        attribute("yara", "rule x {}"),
        attribute("ip-src", "127.0.0.1"),
        attribute("md5", None),
        {"value": "no type"},
    ],
    "Object": [
        {
            "name": "file",
            "Attribute": [
                attribute(
                    "md5", "B" * 32, first_seen="2026-01-01T00:00:00.000000+01:00", uuid="u-1"
                ),
                attribute("size-in-bytes", "5", to_ids="0"),
            ],
        },
        {"name": "gone", "deleted": "1", "Attribute": [attribute("md5", "c" * 32)]},
    ],
}
ONE = json.dumps({"Event": EVENT}).encode()
MANY = json.dumps(
    {"response": [{"Event": EVENT}, {"Event": {"Attribute": [attribute("md5", "d" * 32)]}}]}
).encode()


class TestMisp(FormatContract):
    format = MispFormat()
    samples = (
        ONE,
        MANY,
        json.dumps([{"Event": EVENT}]).encode(),
        json.dumps({"response": {"Event": EVENT}}).encode(),
    )


def test_an_event():
    whole = parse(MispFormat(), ONE)
    assert pairs(whole) == [
        ("ipv4-addr", "192.0.2.1"),
        ("domain-name", "evil.example.com"),
        ("ipv4-addr", "192.0.2.2"),
        ("ipv4-addr", "192.0.2.3"),
        ("file-name", "x.exe"),
        ("file-sha256", "a" * 64),
        ("url", "http://example.com/a|b"),
        ("domain-name", "gone.example.com"),
        ("file-md5", "b" * 32),
        ("file-md5", "c" * 32),
    ]
    taken_back = [record.value for record in whole.indicators if record.retracted]
    assert taken_back == ["gone.example.com", "c" * 32]
    assert drops(whole) == [
        ("Attribute[5]", "not for detection"),
        ("Attribute[7]", "unsupported type"),
        ("Attribute[8]", "loopback address"),
        ("Attribute[9]", "malformed attribute"),
        ("Attribute[10]", "malformed attribute"),
        ("Object[0].Attribute[1]", "not for detection"),
    ]
    assert whole.notes == ["event: A report"]


def test_an_attribute_brings_its_context():
    whole = parse(MispFormat(), ONE)
    first = whole.indicators[0]
    last = next(indicator for indicator in whole.indicators if indicator.value == "b" * 32)
    assert (first.tags, first.malware) == (
        ("attack:G0007", "c2", "tlp:clear", "attack:T1587.001"),
        "Emotet",
    )
    assert first.description == "the first"
    assert (last.tags, last.malware, last.ref) == (("tlp:clear", "attack:T1587.001"), None, "u-1")
    assert last.first_seen == "2025-12-31T23:00:00Z"


def test_context_is_taken_when_asked_for():
    whole = parse(MispFormat(), ONE, include_context=True)
    assert ("domain-name", "context.example.com") in pairs(whole)


def test_places_in_an_export_of_many_events():
    whole = parse(MispFormat(), MANY)
    assert pairs(whole)[-1] == ("file-md5", "d" * 32)
    assert drops(whole)[-1] == ("response[0].Event.Object[0].Attribute[1]", "not for detection")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ONE[:200], r"line 1, column 201 \(byte 200\): the JSON is cut off here"),
        (b'{"type": "bundle"}', '"Event" is missing'),
        (b'{"response": [{"Event": {}}, {}]}', r"\$\[1\]: .*\"Event\" is missing"),
        (b'{"Event": {"Object": 5}}', r"\$.Event.Object: Expected `array`, got `int`"),
        (b"[5]", "Expected `object`, got `int`"),
    ],
)
def test_malformed_documents(data, words):
    with pytest.raises(MalformedDocument, match=words):
        parse(MispFormat(), data)

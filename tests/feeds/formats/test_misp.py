"""MISP events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import MalformedDocument, format_named, guess_format
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
        (b'{"type": "bundle"}', 'neither "Event" nor "Attribute"'),
        (b'{"response": [{"Event": {}}, {}]}', r"\$: .*neither \"Event\""),
        (
            b'{"Event": {"Object": 5}}',
            r"Event.Object: Expected `object \| array \| null`, got `int`",
        ),
        (b"[5]", "Expected `object`, got `int`"),
    ],
)
def test_malformed_documents(data, words):
    with pytest.raises(MalformedDocument, match=words):
        parse(MispFormat(), data)


def event(*attributes, **more):
    return json.dumps({"Event": {"Attribute": list(attributes), **more}}).encode()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("uri", "https://example.com/a", [("url", "https://example.com/a")]),
        ("uri", "hxxp[:]//example[.]com/a", [("url", "http://example.com/a")]),
        ("malware-sample", f"a.exe|{'a' * 32}", [("file-name", "a.exe"), ("file-md5", "a" * 32)]),
        ("email-attachment", "invoice.doc", [("file-name", "invoice.doc")]),
        ("domain", "example.com:8080", [("domain-name", "example.com")]),
        ("hostname|port", "example.com|8080", [("domain-name", "example.com")]),
        ("ip-dst", "[2001:db8::7]:443", [("ipv6-addr", "2001:db8::7")]),
        ("ip-src", "192.0.2.0/24", [("ipv4-addr", "192.0.2.0/24")]),
    ],
)
def test_values_of_a_type(kind, value, expected):
    assert pairs(parse(MispFormat(), event(attribute(kind, value)))) == expected


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("uri", "/upload-3f9c.pl?id=1", "path without a host"),
        ("uri", "upload.example.com/x.pl", "path without a host"),
        ("ip-dst", "example.com", "not of the declared type"),
        ("ip-src", "https://192.0.2.1/", "not of the declared type"),
        ("domain", "192.0.2.1", "not a public suffix"),
        ("md5", "example.com", "malformed hash"),
    ],
)
def test_a_declared_type_is_binding(kind, value, reason):
    whole = parse(MispFormat(), event(attribute(kind, value)))
    assert pairs(whole) == []
    assert drops(whole) == [("Attribute[0]", reason)]


def test_an_event_without_its_wrapper_is_the_same_event():
    assert parse(MispFormat(), json.dumps(EVENT).encode()) == parse(MispFormat(), ONE)


def test_a_search_for_attributes_is_read_as_their_event():
    search = json.dumps({"response": {"Attribute": EVENT["Attribute"]}}).encode()
    whole = parse(MispFormat(), search)
    without_objects = event(*EVENT["Attribute"])
    assert pairs(whole) == pairs(parse(MispFormat(), without_objects))
    assert drops(whole) == drops(parse(MispFormat(), without_objects))


def without_flag(kind, value):
    return {"type": kind, "value": value, "category": "Network activity"}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("domain", "example.com", [("domain-name", "example.com")]),
        ("link", "https://example.com/report", []),
        ("AS", "AS64500", []),
        ("vulnerability", "CVE-2026-1234", []),
    ],
)
def test_an_attribute_without_a_flag_is_what_its_type_is_by_default(kind, value, expected):
    assert pairs(parse(MispFormat(), event(without_flag(kind, value)))) == expected


@pytest.mark.parametrize(
    "document",
    [
        [{"Attribute": attribute("ip-dst", "192.0.2.1"), "Event": {"info": "A stream"}}],
        [attribute("ip-dst", "192.0.2.1")],
        attribute("ip-dst", "192.0.2.1"),
        {"Object": {"name": "x", "Attribute": [attribute("ip-dst", "192.0.2.1")]}},
        [without_flag("ip-dst", "192.0.2.1")],
    ],
)
def test_attributes_come_in_lists_streams_and_by_themselves(document):
    data = json.dumps(document).encode()
    whole = parse(MispFormat(), data)
    assert pairs(whole) == [("ipv4-addr", "192.0.2.1")]
    if "Object" not in document:
        assert guess_format("x.json", data)[0] == "misp"


def test_an_attribute_by_itself_that_is_not_for_detection():
    data = json.dumps([attribute("ip-dst", "192.0.2.1", to_ids=False)]).encode()
    name, _ = guess_format("x.json", data)
    assert drops(parse(format_named(name), data)) == [("Attribute[0]", "not for detection")]


YES = st.sampled_from([True, 1, 1.0, "1", "true", "True", "TRUE", " yes", "Y", "t", "on"])
NO = st.sampled_from(
    [
        False,
        0,
        0.0,
        None,
        "",
        "0",
        "false",
        "False",
        "FALSE",
        " false",
        "no",
        "N",
        "f",
        "off",
        "null",
    ]
)
UNCLEAR = st.sampled_from(["0.0", "2", 2, -1, 0.5, "maybe", "falsch", [], {}, [True]])


def _read_flags(**flags):
    event = {"info": "x", "Attribute": [attribute("ip-dst", "192.0.2.1", **flags)]}
    return parse(MispFormat(), json.dumps({"Event": event}).encode())


@given(YES, NO, UNCLEAR)
def test_a_flag_is_read_as_exports_write_it_and_else_refused(yes, no, unclear):
    assert pairs(_read_flags(to_ids=yes, deleted=no)) == [("ipv4-addr", "192.0.2.1")]
    assert not _read_flags(deleted=no).indicators[0].retracted
    assert _read_flags(deleted=yes).indicators[0].retracted
    assert drops(_read_flags(to_ids=no)) == [("Attribute[0]", "not for detection")]
    for flags in ({"to_ids": unclear}, {"deleted": unclear}):
        whole = _read_flags(**flags)
        assert drops(whole) == [("Attribute[0]", "malformed attribute")]
        assert not whole.indicators


@given(UNCLEAR)
def test_an_unclear_flag_of_an_object_takes_nothing_back_and_asserts_nothing(unclear):
    misp_object = {"name": "x", "deleted": unclear, "Attribute": [attribute("md5", "b" * 32)]}
    document = json.dumps({"Event": {"info": "x", "Object": [misp_object]}}).encode()
    whole = parse(MispFormat(), document)
    assert drops(whole) == [("Object[0].Attribute[0]", "malformed attribute")]
    assert not whole.indicators


ENTRY = {"Event": {"info": "x", "Attribute": [attribute("ip-dst", "192.0.2.1")]}}
BAD_ENTRIES = [
    None,
    7,
    "x",
    {"Event": None},
    {"Event": {"info": "x", "Attribute": "y"}},
    {"Event": {"System": {"EventID": 3}}},
    {"Event": {"info": "x", "Object": 5}},
]


@pytest.mark.parametrize("bad", BAD_ENTRIES)
@pytest.mark.parametrize("wrap", [list, lambda entries: {"response": entries}])
def test_a_bad_event_costs_itself(bad, wrap):
    for entries in ([bad, ENTRY], [ENTRY, bad]):
        document = json.dumps(wrap(entries)).encode()
        whole = parse(MispFormat(), document)
        assert pairs(whole) == [("ipv4-addr", "192.0.2.1")]
        assert [reason for _, reason in drops(whole)] == ["malformed event"]
        assert whole.account.total == 2


@pytest.mark.parametrize("absent", [{"Object": None}, {"Attribute": None, "Object": []}, {}])
@pytest.mark.parametrize("bad_object", [None, "x", 5, {"name": "y", "Attribute": 1}])
def test_what_is_absent_or_bad_in_an_event_costs_itself(absent, bad_object):
    good = {"name": "file", "Attribute": [attribute("md5", "b" * 32)]}
    document = {"Event": {"info": "x", **absent, "Object": [bad_object, good]}}
    whole = parse(MispFormat(), json.dumps(document).encode())
    assert pairs(whole) == [("file-md5", "b" * 32)]
    assert drops(whole) == [("Object[0]", "malformed object")]
    empty = {"Event": {"info": "x", "Attribute": [attribute("md5", "b" * 32)], **absent}}
    if "Attribute" not in absent:
        assert pairs(parse(MispFormat(), json.dumps(empty).encode())) == [("file-md5", "b" * 32)]


ATTRIBUTE = attribute("ip-dst", "192.0.2.1", category="Network activity")


@pytest.mark.parametrize("entry", [ENTRY, ENTRY["Event"], ATTRIBUTE])
def test_events_and_attributes_come_as_json_lines(entry):
    document = f"{json.dumps(entry)}\n\n{json.dumps(entry)}\n{{broken\n".encode()
    assert guess_format("x.jsonl", document)[0] == "misp"
    whole = parse(MispFormat(), document)
    assert pairs(whole) == [("ipv4-addr", "192.0.2.1")] * 2
    assert [reason for _, reason in drops(whole)] == ["malformed event"]

"""STIX bundles."""

import json

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.stix import StixFormat
from tests.feeds.formats.contract import FormatContract, drops, pairs, parse


def bundle(*objects, **more):
    return json.dumps(
        {"type": "bundle", "id": "bundle--1", "objects": list(objects), **more}
    ).encode()


def indicator(pattern, **more):
    return {
        "type": "indicator",
        "id": "indicator--1",
        "pattern": pattern,
        "pattern_type": "stix",
        **more,
    }


WHOLE = bundle(
    {"type": "malware", "id": "malware--1", "name": "Emotet", "is_family": True},
    indicator(
        "[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'Evil.Example.com']",
        labels=["c2"],
        indicator_types=["malicious-activity"],
        confidence=80,
        valid_from="2026-01-01T00:00:00.123456Z",
        valid_until="2027-01-01T00:00:00Z",
        name="Emotet C2",
    ),
    {
        "type": "relationship",
        "relationship_type": "indicates",
        "source_ref": "indicator--1",
        "target_ref": "malware--1",
    },
    {"type": "ipv6-addr", "id": "ipv6-addr--1", "value": "2001:DB8::1"},
    {
        "type": "file",
        "id": "file--1",
        "hashes": {"MD5": "A" * 32, "SHA-256": "b" * 64, "IMPHASH": "c" * 32},
        "name": "x.exe",
    },
    {"type": "file", "id": "file--2", "name": "y.exe"},
    {"type": "autonomous-system", "number": 64500},
    {"type": "windows-registry-key", "key": "hklm\\Software\\Evil"},
    {"type": "x509-certificate", "hashes": {"SHA-1": "d" * 40}},
    {"type": "mutex", "name": "Global\\evil"},
    {"type": "identity", "id": "identity--1", "name": "someone"},
    indicator("[ipv4-addr:value = '192.0.2.2']", revoked=True),
    indicator("rule x {}", pattern_type="yara"),
    indicator("[ipv4-addr:value = '192.0.2.2'"),
    indicator("[ipv4-addr:value = '127.0.0.1']"),
    indicator("[process:pid = 5 OR url:value = 'http://example.com/x']"),
    {"type": "ipv4-addr", "value": 5},
    {"id": "no-type--1"},
    7,
)
V20 = bundle(
    {
        "type": "observed-data",
        "id": "observed-data--1",
        "objects": {
            "0": {"type": "url", "value": "http://example.com"},
            "1": {"type": "file", "hashes": {"SHA-1": "E" * 40}},
            "2": 5,
        },
    },
    {
        "type": "indicator",
        "id": "indicator--2",
        "labels": ["malicious-activity"],
        "pattern": "[url:value = 'http://example.org/a']",
    },
    spec_version="2.0",
)


class TestStix(FormatContract):
    format = StixFormat()
    samples = (WHOLE, V20)


def test_a_bundle():
    whole = parse(StixFormat(), WHOLE)
    assert pairs(whole) == [
        ("ipv4-addr", "192.0.2.1"),
        ("domain-name", "evil.example.com"),
        ("ipv6-addr", "2001:db8::1"),
        ("file-md5", "a" * 32),
        ("file-sha256", "b" * 64),
        ("file-imphash", "c" * 32),
        ("file-name", "y.exe"),
        ("autonomous-system", "AS64500"),
        ("windows-registry-key", "HKEY_LOCAL_MACHINE\\Software\\Evil"),
        ("x509-sha1", "d" * 40),
        ("mutex", "Global\\evil"),
        ("ipv4-addr", "192.0.2.2"),
        ("url", "http://example.com/x"),
    ]
    assert [record.value for record in whole.indicators if record.retracted] == ["192.0.2.2"]
    assert drops(whole) == [
        ("objects[0]", "not an indicator"),
        ("objects[2]", "not an indicator"),
        ("objects[10]", "not an indicator"),
        ("objects[12].pattern", "not a STIX pattern"),
        ("objects[13].pattern", "malformed pattern"),
        ("objects[14].pattern", "loopback address"),
        ("objects[15].pattern", "unsupported property"),
        ("objects[16]", "missing value"),
        ("objects[17]", "malformed object"),
        ("objects[18]", "malformed object"),
    ]


def test_an_indicator_brings_its_context():
    first = parse(StixFormat(), WHOLE).indicators[0]
    assert first.tags == ("c2", "malicious-activity")
    assert (first.confidence, first.malware, first.ref) == (80, "Emotet", "indicator--1")
    assert (first.first_seen, first.valid_until) == (
        "2026-01-01T00:00:00.123Z",
        "2027-01-01T00:00:00Z",
    )
    assert first.description == "Emotet C2"


def test_stix_2_0():
    whole = parse(StixFormat(), V20)
    assert pairs(whole) == [("url", "http://example.org/a")]
    assert drops(whole) == [("objects[0]", "observed")]


def test_an_object_in_another_encoding_costs_only_itself():
    data = WHOLE.replace(b'"someone"', b'"caf\xe9"')
    assert drops(parse(StixFormat(), data))[2] == ("objects[10]", "malformed object")
    assert len(parse(StixFormat(), data).indicators) == len(parse(StixFormat(), WHOLE).indicators)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "document: the document is empty"),
        (b" \n", "document: the document is empty"),
        (
            b'{"type": "bundle",\n "objects": [{"type"',
            r"line 2, column 21 \(byte 39\): the JSON is cut off here",
        ),
        (
            b'{"type": "bundle",\n "objects": [1,]}',
            r"line 2, column \d+ \(byte \d+\): JSON is malformed: trailing comma",
        ),
        (
            b'{"type": "bundle", "objects": {}}',
            r"\$.objects: Expected `array \| null`, got `object`",
        ),
        (b'{"type": "report"}', "no STIX bundle"),
        (b"evil.example.com\n", "line 1, column .*: JSON is malformed"),
        (b'{"objects":[' + b"[" * 100_000, "nested too deeply"),
        (b"[]", "no STIX bundle: it is an empty list"),
    ],
)
def test_malformed_documents(data, words):
    with pytest.raises(MalformedDocument, match=words):
        parse(StixFormat(), data)


def test_deep_nesting_within_an_object():
    with pytest.raises(MalformedDocument, match="nested too deeply"):
        parse(
            StixFormat(), b'{"objects":[{"type":"x","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}"
        )


def test_a_bundle_may_be_empty():
    assert parse(StixFormat(), b'{"type": "bundle", "id": "bundle--1"}').indicators == []


def test_of_several_versions_the_newest_counts():
    versions = [
        indicator("[ipv4-addr:value = '192.0.2.1']", modified="2026-01-02T00:00:00Z"),
        indicator("[ipv4-addr:value = '192.0.2.2']", modified="2026-01-03T00:00:00Z"),
        indicator("[ipv4-addr:value = '192.0.2.3']", modified="2026-01-01T00:00:00Z"),
    ]
    whole = parse(StixFormat(), bundle(*versions))
    assert pairs(whole) == [("ipv4-addr", "192.0.2.2")]
    assert drops(whole) == [("objects[0]", "older version"), ("objects[2]", "older version")]


def test_attack_and_markings_become_tags():
    whole = parse(
        StixFormat(),
        bundle(
            indicator(
                "[ipv4-addr:value = '192.0.2.1']",
                kill_chain_phases=[
                    {"kill_chain_name": "mitre-attack", "phase_name": "initial-access"}
                ],
                external_references=[{"source_name": "mitre-attack", "external_id": "T1566"}],
                object_marking_refs=[
                    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
                    "marking-definition--9",
                ],
            ),
            {
                "type": "attack-pattern",
                "id": "attack-pattern--1",
                "external_references": [
                    {"source_name": "mitre-attack", "external_id": "T1059.001"}
                ],
            },
            {
                "type": "relationship",
                "relationship_type": "indicates",
                "source_ref": "indicator--1",
                "target_ref": "attack-pattern--1",
            },
            {"type": "marking-definition", "id": "marking-definition--9", "name": "TLP:GREEN"},
        ),
    )
    expected = {
        "attack:T1566",
        "attack:T1059.001",
        "attack:initial-access",
        "tlp:amber",
        "tlp:green",
    }
    assert set(whole.indicators[0].tags) == expected


def test_an_envelope_of_taxii():
    data = json.dumps(
        {"more": True, "next": "x", "objects": [indicator("[ipv4-addr:value = '192.0.2.1']")]}
    ).encode()
    assert pairs(parse(StixFormat(), data)) == [("ipv4-addr", "192.0.2.1")]


ADDRESS = "[ipv4-addr:value = '192.0.2.1']"


def test_versions_are_compared_as_moments():
    older = indicator(ADDRESS, modified="2026-03-01T10:00:00Z")
    newer = indicator(ADDRESS, modified="2026-03-01T10:00:00.250Z", revoked=True)
    for versions in ((older, newer), (newer, older)):
        whole = parse(StixFormat(), bundle(*versions))
        assert [record.retracted for record in whole.indicators] == [True]
        assert [reason for _, reason in drops(whole)] == ["older version"]


def test_the_same_moment_in_two_spellings_is_one_version():
    whole = parse(
        StixFormat(),
        bundle(
            indicator(ADDRESS, modified="2026-03-01T10:00:00Z"),
            indicator(ADDRESS, modified="2026-03-01T11:00:00.000+01:00"),
        ),
    )
    assert drops(whole) == []


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"definition_type": "tlp", "definition": {"tlp": "white"}},
        {"name": "TLP:WHITE"},
        {"name": "TLP:CLEAR"},
    ],
)
def test_tlp_has_the_words_of_tlp_2_whether_its_definition_comes_along_or_not(definition):
    marking = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
    own = "marking-definition--00000000-0000-4000-8000-000000000001"
    objects = [
        {"type": "marking-definition", "id": identity, **definition}
        for identity in (marking, own)
        if definition
    ]
    marked = indicator(ADDRESS, object_marking_refs=[marking, own] if definition else [marking])
    assert parse(StixFormat(), bundle(marked, *objects)).indicators[0].tags == ("tlp:clear",)


def test_a_marking_of_tlp_2_by_its_extension():
    extension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
    definition = {
        "type": "marking-definition",
        "id": "marking-definition--1",
        "extensions": {
            extension: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}
        },
    }
    marked = indicator(ADDRESS, object_marking_refs=["marking-definition--1"])
    assert parse(StixFormat(), bundle(marked, definition)).indicators[0].tags == (
        "tlp:amber+strict",
    )


@pytest.mark.parametrize(
    ("times", "expected", "notes"),
    [
        (("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"), (None, None), 0),
        (("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"), ("2026-01-01T00:00:00Z", None), 0),
        (("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"), ("2026-01-01T00:00:00Z", None), 1),
        (("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ("2026-01-02T00:00:00Z", None), 1),
    ],
)
def test_an_end_that_is_none_is_passed_over(times, expected, notes):
    whole = parse(
        StixFormat(), bundle(indicator(ADDRESS, valid_from=times[0], valid_until=times[1]))
    )
    (record,) = whole.indicators
    assert (record.first_seen, record.valid_until) == expected
    assert len(whole.notes) == notes


def test_host_names_as_opencti_writes_them():
    named = indicator("[hostname:value = 'one.example.com']")
    whole = parse(StixFormat(), bundle(named, {"type": "hostname", "value": "two.example.net"}))
    assert pairs(whole) == [("domain-name", "one.example.com"), ("domain-name", "two.example.net")]


def test_a_files_name_is_context_only_beside_its_hash():
    pattern = f"[file:name = 'a.exe' AND file:hashes.MD5 = '{'a' * 32}' OR file:name = 'lone.dll']"
    whole = parse(StixFormat(), bundle(indicator(pattern)))
    assert pairs(whole) == [("file-md5", "a" * 32), ("file-name", "lone.dll")]
    assert drops(whole) == [("objects[0].pattern", "context")]


UUID = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"


def domain(name, **more):
    return {
        "type": "domain-name",
        "id": f"domain-name--{UUID[:-1]}{name[0]}",
        "value": name,
        **more,
    }


@pytest.mark.parametrize("wrap", [lambda entry: entry, lambda entry: [entry]])
def test_an_object_by_itself_and_a_list_are_read_as_a_bundle(wrap):
    from services.feeds.formats import guess_format

    pattern = "[domain-name:value = 'a.example.com']"
    entry = {"type": "indicator", "id": f"indicator--{UUID}", "pattern": pattern}
    data = json.dumps(wrap(entry)).encode()
    assert guess_format("x.json", data)[0] == "stix"
    assert pairs(parse(StixFormat(), data)) == [("domain-name", "a.example.com")]


def test_what_misp_saw_is_no_indicator_and_what_it_seeks_is():
    observed = {
        "type": "observed-data",
        "id": f"observed-data--{UUID}",
        "object_refs": [domain("a.example.com")["id"]],
        "labels": ['misp:type="domain"', 'misp:category="Network activity"'],
    }
    inner = {
        "type": "observed-data",
        "id": f"observed-data--{UUID[:-1]}0",
        "objects": {"0": {"type": "domain-name", "value": "b.example.com"}},
        "labels": ['misp:type="domain"'],
    }
    sought = {
        "type": "indicator",
        "id": f"indicator--{UUID}",
        "pattern": "[domain-name:value = 'c.example.com']",
        "labels": ['misp:type="domain"'],
    }
    denied = {**sought, "id": f"indicator--{UUID[:-1]}1", "labels": ['misp:to_ids="False"']}
    other = domain("d.example.com")
    whole = parse(
        StixFormat(), bundle(observed, domain("a.example.com"), inner, sought, denied, other)
    )
    assert pairs(whole) == [("domain-name", "c.example.com"), ("domain-name", "d.example.com")]
    assert {reason for _, reason in drops(whole)} == {"not for detection", "observed"}
    assert whole.account.left_out == {"not for detection": 3}


def test_a_reference_names_an_address_or_a_host():
    entry = {
        "type": "indicator",
        "id": f"indicator--{UUID}",
        "pattern": f"[network-traffic:dst_ref.value = '{'a' * 32}']",
    }
    assert drops(parse(StixFormat(), bundle(entry))) == [
        ("objects[0].pattern", "not of the declared type")
    ]

"""What stands around STIX objects, and what bundles say of cyber-observables."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import MalformedDocument, guess_format
from services.feeds.formats.stix import StixFormat
from tests.feeds.formats.contract import drops, pairs, parse

ID = "11111111-1111-4111-8111-111111111111"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
ADDRESS = {"type": "ipv4-addr", "id": f"ipv4-addr--{ID}", "value": "198.51.100.7"}
HASHES = {"SHA3-256": "a" * 64, "SHA3-512": "a" * 128, "X-OTHER": "b"}


def bundle(*objects):
    return {"type": "bundle", "id": f"bundle--{ID}", "objects": list(objects)}


def observed(**more):
    inner = {"0": {"type": "ipv4-addr", "value": "198.51.100.7"}}
    return {"type": "observed-data", "id": f"observed-data--{ID}", "objects": inner, **more}


def read(*objects):
    return parse(StixFormat(), json.dumps(bundle(*objects)).encode())


@given(
    st.lists(st.sampled_from([bundle(ADDRESS), ADDRESS, {"objects": [ADDRESS]}]), min_size=1),
    st.sampled_from(["list", "lines"]),
)
def test_bundles_and_objects_come_in_lists_and_lines(entries, form):
    texts = [json.dumps(entry) for entry in entries]
    document = f"[{','.join(texts)}]" if form == "list" else "\n".join([*texts, ""])
    assert guess_format("x.json", document.encode())[0] == "stix"
    assert pairs(parse(StixFormat(), document.encode())) == [
        ("ipv4-addr", "198.51.100.7") for _ in entries
    ]


def test_a_bad_line_costs_itself():
    document = f"{json.dumps(bundle(ADDRESS))}\n{{broken\n{json.dumps(ADDRESS)}\n".encode()
    whole = parse(StixFormat(), document)
    assert len(whole.indicators) == 2
    assert drops(whole) == [("objects[1]", "malformed object")]


@pytest.mark.parametrize(
    "document",
    [
        {"objects": [], "indicators": ["198.51.100.7"]},
        {"indicators": ["198.51.100.7"], "objects": []},
        {"spec_version": "2.0", "items": [{"ip": "198.51.100.7"}]},
        {"type": "bundle", "iocs": ["198.51.100.7"]},
        {"Event": {"System": {"EventID": 3}}, "ip": "198.51.100.7"},
        [{"Event": {"name": "x"}, "ip": "198.51.100.7"}],
        [{"ip": "198.51.100.7", "to_ids": True}, {"ip": "198.51.100.8", "to_ids": False}],
    ],
)
def test_a_document_that_only_resembles_one_is_json(document):
    assert guess_format("x.json", json.dumps(document).encode())[0] == "json"


@pytest.mark.parametrize(
    "document", [{"objects": []}, {"more": False, "objects": []}, {"objects": [], "next": "5"}]
)
def test_an_envelope_may_be_empty(document):
    assert guess_format("x.json", json.dumps(document).encode())[0] == "stix"


@pytest.mark.parametrize("revoked", [True, False])
def test_revoked_observables_are_taken_back_and_what_was_observed_was_no_claim(revoked):
    (indicator,) = read({**ADDRESS, "revoked": revoked}).indicators
    assert indicator.retracted is revoked
    assert read(observed(revoked=revoked)).indicators == []


MARKINGS = [
    {"object_marking_refs": [RED]},
    {"granular_markings": [{"marking_ref": RED, "selectors": ["value"]}]},
    {"granular_markings": [{"lang": "de", "selectors": ["name"]}, 5, {"marking_ref": RED}]},
    {"object_marking_refs": ["marking-definition--x", 5, RED]},
]


@pytest.mark.parametrize("marking", MARKINGS)
def test_tlp_is_kept_on_indicators_and_observables(marking):
    indicator = {
        "type": "indicator",
        "id": f"indicator--{ID}",
        "pattern": "[ipv4-addr:value = '198.51.100.7']",
    }
    for stix_object in (indicator, ADDRESS):
        tags = read({**stix_object, **marking}).indicators[0].tags
        assert set(tags) - {"marking:unknown"} == {"tlp:red"}
        assert ("marking:unknown" in tags) == ("marking-definition--x" in str(marking))


@given(st.dictionaries(st.sampled_from(sorted(HASHES)), st.just("a" * 64), min_size=1))
def test_a_file_of_which_no_hash_is_read_does_not_match_by_its_name(hashes):
    file = {"type": "file", "id": f"file--{ID}", "name": "cmd.exe", "hashes": hashes}
    whole = read(file)
    assert not whole.indicators
    assert [reason for _, reason in drops(whole)] == ["unsupported property"]
    named = {**file, "hashes": {}}
    assert pairs(read(named)) == [("file-name", "cmd.exe")]


def test_bundles_that_stand_under_a_name_are_read_and_their_bad_neighbours_are_told():
    document = json.dumps(
        {
            "meta": {"page": 1, "tags": ["a"]},
            "data": [bundle(ADDRESS), 7],
        }
    ).encode()

    batches = parse(StixFormat(), document)

    assert pairs(batches) == [("ipv4-addr", "198.51.100.7")]
    assert [reason for _, reason in drops(batches)] == ["malformed object"]


def test_a_document_without_a_bundle_under_any_name_is_refused():
    with pytest.raises(MalformedDocument, match="no STIX bundle"):
        parse(StixFormat(), b'{"data": [1, 2], "meta": {"type": "page"}}')

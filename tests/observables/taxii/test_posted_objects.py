"""What may stand in a collection: the checks of posted objects, and hostile envelopes."""

import json
import tempfile
from typing import Any

import pytest
import stix2

from services.observables.taxii.envelope_job import MAX_OBJECTS, envelope_job, read_frame
from services.observables.taxii.posted_objects import PostedObject
from shared.errors import InvalidInput, TooLargeInput

INDICATOR = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
    "created": "2026-11-30T08:00:00.000Z",
    "modified": "2026-11-30T08:00:00.000Z",
    "pattern": "[ipv4-addr:value = '198.51.100.7']",
    "pattern_type": "stix",
    "valid_from": "2026-11-30T08:00:00Z",
}
ADDRESS = {
    "type": "ipv4-addr",
    "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
    "value": "198.51.100.3",
}
AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
STATEMENT: dict[str, Any] = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--d81f86b9-975b-4c0b-875e-810c5ad45a4f",
    "created": "2017-04-14T13:07:49.812Z",
    "definition_type": "statement",
    "definition": {"statement": "Copyright 2026, Example Corp"},
}


def read(content: str | bytes, ceiling: str = "amber") -> list[PostedObject]:
    with tempfile.TemporaryFile() as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        frames = list(envelope_job(ceiling.encode(), [file.fileno()]))
    return [item for frame in frames for item in read_frame(frame)]


def check(ceiling: str = "amber", **changes: Any) -> PostedObject:
    stix_object = {**INDICATOR, **changes}
    fields = {name: value for name, value in stix_object.items() if value is not None}
    (posted,) = read(json.dumps({"objects": [fields]}), ceiling)
    return posted


def test_what_stix2_accepts_is_accepted_and_stays_as_it_is() -> None:
    objects = [INDICATOR, ADDRESS, STATEMENT, {**INDICATOR, "x_own": {"deep": [1, 2.5, None]}}]
    for stix_object in objects:
        stix2.parse(stix_object, allow_custom=True)
    posted = read(json.dumps({"objects": objects}))
    assert [item.message for item in posted] == [""] * 4
    assert [json.loads(item.payload) for item in posted] == objects
    assert [item.type for item in posted] == [entry["type"] for entry in objects]
    assert posted[1].version is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"id": None}, "id"),
        ({"id": 5}, "id"),
        ({"id": "indicator--8E2E2D2B-17d4-4cbf-938f-98ee46b3cd3f"}, "id"),
        ({"id": "malware--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"}, "type"),
        ({"type": None}, "type"),
        ({"type": "in dicator"}, "type"),
        ({"created": None}, "created"),
        ({"modified": None}, "modified"),
        ({"modified": "2026-11-30T07:59:59.999Z"}, "before created"),
        ({"modified": "yesterday"}, "modified"),
        ({"modified": ["2026-11-30T08:00:00.000Z"]}, "modified"),
        ({"spec_version": "3.0"}, "spec_version"),
        ({"revoked": "yes"}, "revoked"),
        ({"pattern": None}, "pattern"),
        ({"pattern": ""}, "pattern"),
        ({"valid_from": None}, "valid_from"),
        ({"x_large": "x" * 300_000}, "bytes"),
        ({"object_marking_refs": [AMBER_STRICT]}, "AMBER+STRICT"),
        ({"granular_markings": [{"marking_ref": AMBER_STRICT, "selectors": ["a"]}]}, "AMBER+"),
        ({"object_marking_refs": [STATEMENT["id"]]}, "unknown marking"),
    ],
)
def test_a_bad_object_says_why(changes: dict[str, Any], word: str) -> None:
    posted = check(**changes)
    assert word in posted.message
    assert posted.payload == b""


def test_markings_bind_up_to_the_ceiling() -> None:
    assert check("amber+strict", object_marking_refs=[AMBER_STRICT]).message == ""
    marked = {**INDICATOR, "object_marking_refs": [STATEMENT["id"]]}
    posted = read(json.dumps({"objects": [marked, STATEMENT]}), "clear")
    assert [item.message for item in posted] == ["", ""]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"objects": {}}',
        '{"objects": []}',
        '{"objects": [',
        b"\xff\xfe",
        '{"objects": ["\\ud800"]}',
        "[" * 100_000,
        f'{{"objects": [{"[" * 50_000}{"]" * 50_000}]}}',
    ],
)
def test_what_is_no_envelope_is_refused_as_a_whole(content: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        read(content)


def test_hostile_objects_fail_by_themselves() -> None:
    good = json.dumps(INDICATOR).encode()
    content = b'{"objects": [1, null, "\\u0000", "\xff", {"id": "\xff"}, %b]}' % good
    posted = read(content)
    assert [bool(item.message) for item in posted] == [True] * 5 + [False]
    assert [item.object_id for item in posted][:2] == ["objects.0", "objects.1"]


def test_an_envelope_has_a_bound() -> None:
    with pytest.raises(TooLargeInput):
        read('{"objects": [' + ",".join(["1"] * (MAX_OBJECTS + 1)) + "]}")

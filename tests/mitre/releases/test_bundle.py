"""Bundles as bytes: what is read, and what is refused and where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mitre.releases.bundle import read_release, version_key
from shared.errors import InvalidInput

Make = Callable[..., Any]


def test_the_starter_is_a_release_of_enterprise(starter: Path) -> None:
    release = read_release(starter.read_bytes())

    assert (release.domain, release.version, release.stix_version) == (
        "enterprise-attack",
        "0.18.1",
        "2.1",
    )
    assert version_key(release.version) < version_key("9.0") < version_key("18.1")
    assert release.counts["x-mitre-tactic"] == 14
    shell = release.techniques["T1059.001"]
    assert (shell.name, shell.parent, shell.tactics, shell.tactic_ids) == (
        "PowerShell",
        "T1059",
        ["execution"],
        ["TA0002"],
    )
    assert (release.techniques["T1086"].revoked, release.techniques["T1086"].revoked_by) == (
        True,
        "T1059.001",
    )
    assert all(len(card.description) > 20 for card in release.techniques.values())
    stix_ids = {item.stix_id for item in release.objects}
    assert len(stix_ids) == len(release.objects)
    collection = json.loads(starter.read_bytes())["objects"][0]
    assert {entry["object_ref"] for entry in collection["x_mitre_contents"]} == stix_ids - {
        collection["id"]
    }


def test_equal_content_has_equal_digests_in_any_order_and_layout(
    make_bundle: Make, make_pattern: Make
) -> None:
    content = json.loads(
        make_bundle("1.0", make_pattern("T1001", "One"), make_pattern("T1002", "Two"))
    )
    release = read_release(json.dumps(content).encode())

    turned = [dict(reversed(item.items())) for item in reversed(content["objects"])]
    again = read_release(json.dumps({**content, "objects": turned}, indent=3).encode())

    assert again.digest == release.digest
    assert again.techniques == release.techniques


def test_stix_2_0_needs_its_version_beside_it(make_bundle: Make, make_pattern: Make) -> None:
    content = make_bundle(None, make_pattern("T1001", "One"))

    assert read_release(content, version="15.1").version == "15.1"
    assert read_release(content, version="15.1").stix_version == "2.0"
    with pytest.raises(InvalidInput, match="give the version"):
        read_release(content)


def test_of_objects_with_one_id_the_active_one_counts(
    make_bundle: Make, make_pattern: Make
) -> None:
    ended = make_pattern(
        "T1001", "Ended", stix="old", revoked=True, modified="2025-09-01T00:00:00.000Z"
    )

    release = read_release(make_bundle("1.0", make_pattern("T1001", "Active"), ended))

    assert release.techniques["T1001"].name == "Active"
    assert release.counts["attack-pattern"] == 2


def test_a_revoked_relationship_does_not_count(
    make_bundle: Make, make_pattern: Make, make_link: Make
) -> None:
    gone = make_link("subtechnique-of", "T1001.001", "T1001", revoked=True)
    release = read_release(
        make_bundle("1.0", make_pattern("T1001", "A"), make_pattern("T1001.001", "B"), gone)
    )

    assert release.techniques["T1001.001"].parent is None


BAD: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "not whole JSON", "byte 0"),
    "truncated": (b'{"type": "bundle", "objects": [{"type": "x', "not whole JSON", "byte 42"),
    "binary": (b"\x00\xff\xfe\x01", "not whole JSON", "byte 0"),
    "web page": (b"<!DOCTYPE html><html>", "web page", "byte 0"),
    "list": (b"[]", "no STIX bundle", "$"),
    "other object": (b'{"type": "report", "objects": []}', "not a bundle", "type"),
    "no objects": (b'{"type": "bundle"}', "no STIX bundle", "$"),
    "object without id": (
        b'{"type": "bundle", "objects": [{"type": "malware"}]}',
        "`id`",
        "objects[0]",
    ),
    "not ATT&CK": (
        b'{"type": "bundle", "objects": [{"type": "malware", "id": "m"}]}',
        "not of ATT&CK",
        "objects",
    ),
    "nested too deeply": (
        b'{"type": "bundle", "objects": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        "recursion",
        "byte",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_its_place_named(name: str) -> None:
    content, message, where = BAD[name]

    with pytest.raises(InvalidInput, match=message) as caught:
        read_release(content)

    assert str(caught.value.details["where"]).startswith(where)


def test_wrong_domain_version_or_value_is_refused(make_bundle: Make, make_pattern: Make) -> None:
    content = make_bundle("1.0", make_pattern("T1001", "One"))

    with pytest.raises(InvalidInput, match="of enterprise-attack, not of ics-attack") as domain:
        read_release(content, domain="ics-attack")
    assert domain.value.details["where"] == "objects[1]"
    with pytest.raises(InvalidInput, match=r"version 1\.0, not 2\.0"):
        read_release(content, version="2.0")
    with pytest.raises(InvalidInput, match="not a version") as version:
        read_release(make_bundle("newest", make_pattern("T1001", "One")))
    assert version.value.details["where"] == "objects[0].x_mitre_version"
    with pytest.raises(InvalidInput) as place:
        read_release(
            make_bundle("1.0", make_pattern("T1001", "One", kill_chain_phases=[{"phase_name": 3}]))
        )
    assert str(place.value.details["where"]).startswith("objects[3].kill_chain_phases[0]")
    with pytest.raises(InvalidInput, match="NUL") as nul:
        read_release(make_bundle("1.0", make_pattern("T1001", "One\0")))
    assert nul.value.details["where"] == "objects[3]"
    with pytest.raises(InvalidInput, match="two x-mitre-collection"):
        read_release(make_bundle("1.0", json.loads(content)["objects"][0]))


@given(st.data())
def test_damage_gives_a_release_or_a_clear_error_and_nothing_else(
    starter: Path, data: st.DataObject
) -> None:
    content = bytearray(starter.read_bytes()[:3000] + b"]}")
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    with pytest.raises(InvalidInput) as caught:
        read_release(bytes(content[: data.draw(st.integers(0, len(content)))]))

    assert caught.value.message

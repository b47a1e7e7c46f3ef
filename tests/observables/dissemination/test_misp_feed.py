"""A list polled as a MISP feed: manifest, hashes and event agree, and what left is taken back."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pymisp import MISPEvent
from starlette.testclient import TestClient

from services.observables.dissemination.files.service import write_stale_files
from shared.events.feeds import Indicator
from tests.observables.conftest import after
from tests.observables.dissemination.conftest import Lists
from tests.observables.dissemination.test_polling import consumer

ALL = ("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4")


def addresses(*values: str) -> list[Indicator]:
    return [Indicator("ipv4-addr", value) for value in values]


@pytest.fixture
def view(lists: Lists) -> dict[str, Any]:
    lists.see(*addresses(*ALL))
    return lists.create("observable.score >= 50", max_shrink=None, tlp_ceiling="amber")


@pytest.fixture
def folder(lists: Lists, view: dict[str, Any]) -> str:
    return f"/lists/{consumer(lists, view)['token']}/addresses.misp"


def polled(lists: Lists, folder: str) -> tuple[dict[str, Any], MISPEvent, list[str]]:
    """What MISP reads of a feed: the manifest, the one event that it names, the hashes."""
    manifest = lists.client.get(f"{folder}/manifest.json").json()
    [identity] = manifest
    answer = lists.client.get(f"{folder}/{identity}.json")
    assert answer.status_code == 200, answer.text
    event = MISPEvent()
    event.load(answer.json())
    hashes = lists.client.get(f"{folder}/hashes.csv").text.splitlines()
    return manifest, event, hashes


def test_manifest_event_and_hashes_agree(lists: Lists, folder: str) -> None:
    manifest, event, hashes = polled(lists, folder)
    assert {each.value for each in event.attributes} == set(ALL)
    assert hashes == [f"{each},{event.uuid}" for each in event.attributes_hashes("md5")]
    described = manifest[str(event.uuid)]
    expected = event.manifest[str(event.uuid)]
    assert described["info"] == expected["info"]
    assert described["Orgc"] == expected["Orgc"]
    assert int(described["timestamp"]) == expected["timestamp"]
    assert [tag["name"] for tag in described["Tag"]] == ["tlp:amber"]


def test_what_left_is_deleted_in_the_event_and_what_returns_is_not(
    lists: Lists, folder: str, view: dict[str, Any]
) -> None:
    before, _, _ = polled(lists, folder)
    lists.client.post("/v1/sightings", json=false_positive(ALL[3]))
    lists.follow()
    write_stale_files(lists.own)
    after, event, hashes = polled(lists, folder)
    states = {each.value: bool(each.deleted) for each in event.attributes}
    assert states == {**dict.fromkeys(ALL[:3], False), ALL[3]: True}
    assert len(hashes) == 3
    [identity] = after
    assert int(after[identity]["timestamp"]) >= int(before[identity]["timestamp"])
    ids = {each.value: each.uuid for each in event.attributes}
    lists.client.post("/v1/sightings", json=confirmed(ALL[3]))
    lists.follow()
    write_stale_files(lists.own)
    _, event, _ = polled(lists, folder)
    assert {each.value: bool(each.deleted) for each in event.attributes} == dict.fromkeys(
        ALL, False
    )
    assert {each.value: each.uuid for each in event.attributes} == ids


def false_positive(value: str) -> dict[str, Any]:
    return {"sightings": [{"value": value, "kind": "false-positive"}]}


def confirmed(value: str) -> dict[str, Any]:
    return {"sightings": [{"value": value, "kind": "confirmed-malicious"}]}


def test_other_files_and_folders_are_not_there(
    lists: Lists, folder: str, client_for: Callable[..., TestClient]
) -> None:
    plain = folder.replace(".misp", ".plain")
    _, _, token, _ = folder.split("/")
    altered = folder.replace(token, "A" + token[1:] if token[0] != "A" else "B" + token[1:])
    bare = client_for("observables", role=None)
    assert bare.get(f"{folder}/manifest.json").status_code == 200
    for path in (
        f"{folder}/00000000-0000-4000-8000-000000000000.json",
        f"{folder}/index.html",
        f"{plain}/manifest.json",
        f"{altered}/manifest.json",
        f"/lists/{token}/unknown.misp/manifest.json",
    ):
        assert bare.get(path).status_code == 404, path


def test_a_value_that_was_marked_above_the_ceiling_is_not_named_again(
    lists: Lists, folder: str
) -> None:
    polled(lists, folder)
    marked = Indicator("ipv4-addr", ALL[0], tags=("tlp:red",))
    lists.see(marked, at=after(5))
    write_stale_files(lists.own)
    answer = json.dumps(lists.client.get(folder).json())
    assert ALL[0] not in answer
    assert ALL[1] in answer

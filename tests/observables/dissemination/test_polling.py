"""Polled addresses: who may have what, validators, ranges, encodings, and what consumers hold."""

import base64
import gzip
import json
from collections.abc import Callable
from hashlib import sha256

import pytest
import sqlalchemy as sa
import zstandard
from starlette.testclient import TestClient

from services.observables.dissemination.consumers.service import watch_consumers
from services.observables.dissemination.files.service import write_stale_files
from shared.database import PLATFORM
from shared.events import Event
from shared.events.gateway import REVOKED, Revoked
from shared.revocations import apply_revocations
from tests.observables.conftest import after
from tests.observables.dissemination.conftest import Lists, address


def consumer(lists: Lists, view: dict, **values: object) -> dict:
    body = {"name": "edge-firewall", "list_ids": [view["id"]], **values}
    answer = lists.client.post("/v1/list-consumers", json=body)
    assert answer.status_code == 201, answer.text
    issued: dict = answer.json()
    return issued


@pytest.fixture
def view(lists: Lists) -> dict:
    created = lists.create("observable.score >= 50", max_shrink=None)
    lists.see(*map(address, range(40)))
    return lists.view(created["id"])


def test_a_consumer_polls_a_file_and_then_gets_304(lists: Lists, view: dict) -> None:
    token = consumer(lists, view)["token"]
    place = f"/lists/{token}/addresses.plain"
    first = lists.client.get(place, headers={"accept-encoding": "identity"})
    assert first.status_code == 200
    lines = [line for line in first.text.splitlines() if not line.startswith("#")]
    assert sorted(lines) == sorted(address(number).value for number in range(40))
    digest = base64.b64encode(sha256(first.content).digest()).decode()
    assert first.headers["content-digest"] == f"sha-256=:{digest}:"
    assert "version: 40" in first.text
    for name, value in (
        ("if-none-match", first.headers["etag"]),
        ("if-modified-since", first.headers["last-modified"]),
    ):
        headers = {"accept-encoding": "identity", name: value}
        again = lists.client.get(place, headers=headers)
        assert (again.status_code, again.content) == (304, b"")
    head = lists.client.head(place, headers={"accept-encoding": "identity"})
    assert int(head.headers["content-length"]) == len(first.content)
    assert head.content == b""
    lists.see(gone=[address(3)], at=after(3))
    assert write_stale_files(lists.own) == 1
    second = lists.client.get(place, headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 200
    assert address(3).value not in second.text.split()


def test_encodings_and_ranges_are_of_the_same_bytes(lists: Lists, view: dict) -> None:
    place = f"/lists/{consumer(lists, view)['token']}/addresses.csv"
    whole = lists.client.get(place, headers={"accept-encoding": "identity"})
    for encoding, decode in (("gzip", gzip.decompress), ("zstd", zstandard.decompress)):
        with lists.client.stream("GET", place, headers={"accept-encoding": encoding}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == encoding
        assert decode(raw) == whole.content
        digest = base64.b64encode(sha256(raw).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    for text, part in (
        ("bytes=0-9", whole.content[:10]),
        ("bytes=10-", whole.content[10:]),
        ("bytes=-7", whole.content[-7:]),
    ):
        headers = {"accept-encoding": "identity", "range": text}
        answer = lists.client.get(place, headers=headers)
        assert (answer.status_code, answer.content) == (206, part)
    headers = {"accept-encoding": "identity", "range": "bytes=99999999-"}
    assert lists.client.get(place, headers=headers).status_code == 416
    endless = "9" * 5_000
    strange = ("bytes=9-3", "lines=1-2", "bytes=a-b", "bytes=0-1,4-5", f"bytes={endless}-")
    for text in (*strange, f"bytes=-{endless}", f"bytes=0-{endless}"):
        headers["range"] = text
        assert lists.client.get(place, headers=headers).content == whole.content
    headers |= {"range": "bytes=0-3", "if-range": '"other"'}
    assert lists.client.get(place, headers=headers).content == whole.content


def test_what_has_no_access_gets_nothing(
    lists: Lists, view: dict, client_for: Callable[..., TestClient]
) -> None:
    other = lists.create(name="other")
    issued = consumer(lists, view)
    token = issued["token"]
    bare = client_for("observables", role=None)

    def status(path: str, **headers: str) -> int:
        return bare.get(path, headers=headers).status_code

    assert status(f"/lists/{token}/addresses.plain") == 200
    assert status(f"/lists/{token}/other.plain") == 404
    assert status(f"/lists/{token}/addresses.unknown") == 404
    assert status(f"/lists/{token}/../addresses.plain") in {401, 404}
    altered = ("B" if token[0] == "A" else "A") + token[1:]
    assert status(f"/lists/{altered}/addresses.plain") == 404
    assert status("/lists/x/addresses.plain") == 404
    assert status("/lists/addresses.plain") == 401
    basic = base64.b64encode(f"device:{token}".encode()).decode()
    assert status("/lists/addresses.plain", authorization=f"Basic {basic}") == 200
    assert status("/lists/addresses.plain", authorization=f"Bearer {token}") == 200
    assert status("/lists/addresses.plain", authorization="Basic ???") == 401
    assert status("/lists/other.plain", authorization=f"Bearer {token}") == 401
    stranger = client_for("observables", tenant="umbrella")
    body = {"name": "x", "list_ids": [view["id"]]}
    assert stranger.post("/v1/list-consumers", json=body).status_code == 422
    assert stranger.get(f"/v1/list-consumers/{issued['id']}").status_code == 404
    assert stranger.post(f"/v1/list-consumers/{issued['id']}/revoke").status_code == 404
    place = f"/v1/list-consumers/{issued['id']}"
    networks = {"networks": ["192.0.2.0/24"], "list_ids": [view["id"], other["id"]]}
    assert lists.client.patch(place, json=networks).status_code == 200
    assert status(f"/lists/{token}/addresses.plain") == 404
    assert lists.client.patch(place, json={"networks": []}).status_code == 200
    assert status(f"/lists/{token}/other.plain") == 200
    assert lists.client.post(f"{place}/revoke").status_code == 200
    assert status(f"/lists/{token}/addresses.plain") == 404
    # A token that was noted in a log tells nobody whether it counts.
    texts = {
        bare.get(path).json()["title"]
        for path in (f"/lists/{token}/addresses.plain", "/lists/x/addresses.plain", "/lists/x/x.x")
    }
    assert len(texts) == 1
    renewed = lists.client.post(f"{place}/token").json()["token"]
    assert (status(f"/lists/{renewed}/addresses.plain"), status(f"/lists/{token}/other.plain")) == (
        200,
        404,
    )
    with lists.own.transaction(PLATFORM) as session:
        stored = session.execute(sa.text("SELECT list_consumer::text FROM list_consumer")).scalar()
    assert renewed not in str(stored)


def test_texts_that_read_as_networks_or_names_reach_no_device(lists: Lists) -> None:
    for protected in ("acmecorp.com", "203.0.113.0/24"):
        body = {"value": protected}
        assert lists.client.post("/v1/protected-values", json=body).status_code == 201
    texts = (
        ("user-agent", "0.0.0.0/0"),
        ("mutex", "203.0.113.0/24"),
        ("file-name", "acmecorp.com"),
        ("file-name", "update.zip"),
        ("url", "http://www.acmecorp.com./login"),
        ("ipv4-addr", "198.51.100.66"),
    )
    sightings = [
        {"type": type_, "value": value, "kind": "confirmed-malicious"} for type_, value in texts
    ]
    answer = lists.client.post("/v1/sightings", json={"sightings": sightings})
    assert answer.status_code in {200, 201}
    lists.follow()
    view = lists.create("observable.score >= 20", tlp_ceiling="red")
    assert lists.values(view["id"]) == ["198.51.100.66", "update.zip"]
    token = consumer(lists, view)["token"]
    text = lists.client.get(f"/lists/{token}/addresses.plain").text
    assert [line for line in text.splitlines() if line[:1] != "#"] == ["198.51.100.66"]
    formats = [_holders(lists, value) for value in ("198.51.100.66", "update.zip")]
    assert formats == [["plain"], []], "what the format leaves out nobody holds"


def _holders(lists: Lists, value: str) -> list[str]:
    answer = lists.client.get("/v1/list-consumers/holders", params={"value": value})
    return [each["format"] for each in answer.json()["holders"]]


def test_holders_tell_who_still_has_a_value(lists: Lists, view: dict) -> None:
    first = consumer(lists, view, name="first")["token"]
    second = consumer(lists, view, name="second")["token"]
    for token in (first, second):
        assert lists.client.get(f"/lists/{token}/addresses.plain").status_code == 200
    value = address(7).value

    def holders() -> list[str]:
        answer = lists.client.get("/v1/list-consumers/holders", params={"value": value}).json()
        return [holder["consumer"] for holder in answer["holders"]]

    assert holders() == ["first", "second"]
    report = {"sightings": [{"value": value, "kind": "false-positive"}]}
    assert lists.client.post("/v1/sightings", json=report).status_code in {200, 201}
    lists.follow()
    assert holders() == ["first", "second"]
    write_stale_files(lists.own)
    polled = lists.client.get(f"/lists/{first}/addresses.plain")
    assert value not in polled.text.split()
    assert holders() == ["second"]
    [row] = [
        each
        for each in lists.client.get("/v1/list-consumers").json()["items"]
        if each["name"] == "second"
    ]
    assert row["polls"][0]["version"] < row["polls"][0]["published_version"]


def test_a_consumer_that_stops_polling_is_told_of_once(lists: Lists, view: dict) -> None:
    token = consumer(lists, view, silent_after_seconds=60)["token"]
    assert lists.client.get(f"/lists/{token}/addresses.plain").status_code == 200
    assert watch_consumers(lists.own) == 0
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE list_poll SET polled_at = now() - interval '2 minutes'"))
    assert (watch_consumers(lists.own), watch_consumers(lists.own)) == (1, 0)
    [news] = [json.loads(row) for row in lists.news()]
    assert (news["kind"], news["consumer"]) == ("silent", "edge-firewall")
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE list_poll SET polled_at = clock_timestamp()"))
    assert watch_consumers(lists.own) == 1


def test_a_frozen_tenants_lists_are_not_polled(lists: Lists, view: dict) -> None:
    place = f"/lists/{consumer(lists, view)['token']}/addresses.plain"
    assert lists.client.get(place).status_code == 200
    moment = "2099-01-01T00:00:00+00:00"

    def learn(*, is_lifted: bool) -> None:
        data = Revoked("tenant", "", moment, moment, "root", is_lifted)
        with lists.own.transaction(PLATFORM) as session:
            apply_revocations(session, [Event(REVOKED, data, "acme", "/services/gateway")])

    learn(is_lifted=False)
    try:
        assert lists.client.get(place).status_code == 404
    finally:
        learn(is_lifted=True)
    assert lists.client.get(place).status_code == 200

"""A feed run from upload or fetch to Kafka, on the real parts."""

from collections.abc import Callable

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.feeds.runs import service
from shared.database import PLATFORM, Database
from tests.feeds.conftest import Desk, Provider

LIST = (
    b"# a list\n"
    + b"".join(f"203.0.113.{number}\n".encode() for number in range(200))
    + b"not an observable !\n"
)


def test_an_upload_is_parsed_and_published_in_chunks_and_counted(
    desk: Desk,
    own: Database,
    client: TestClient,
) -> None:
    run = desk.upload(LIST, confidence=90, reliability="A", tag=["c2", "botnet"])
    assert run["state"] == "queued"
    assert desk.work(run)["status"] == "succeeded"
    done = client.get(f"/v1/runs/{run['id']}").json()
    assert (done["state"], done["report"]["taken"], done["report"]["types"]) == (
        "applying",
        200,
        {"ipv4-addr": 200},
    )
    assert done["report"]["examples"][0]["where"] == "line 202"
    chunks = desk.published(run)
    assert len(chunks) == done["report"]["chunks"]
    assert {item.value for chunk in chunks for item in chunk.seen} == {
        f"203.0.113.{number}" for number in range(200)
    }
    assert {(chunk.confidence, chunk.tags, chunk.feed.reliability) for chunk in chunks} == {
        (90, ("botnet", "c2"), 100)
    }


def test_the_same_content_again_is_unchanged_and_publishes_nothing(
    desk: Desk,
    own: Database,
    client: TestClient,
) -> None:
    desk.work(desk.upload(LIST))
    again = desk.upload(LIST)
    assert desk.work(again)["status"] == "unchanged"
    assert desk.published(again) == []
    differently = desk.upload(LIST, confidence=10)
    assert desk.work(differently)["status"] == "succeeded"


def test_a_run_that_is_repeated_publishes_the_same_chunks(
    desk: Desk,
    own: Database,
    client: TestClient,
) -> None:
    run = desk.upload(LIST)
    desk.work(run)
    first = desk.published(run)
    with own.transaction(PLATFORM) as session:
        # As if the worker had been killed after the last acknowledgement and before its commit.
        lost = "state = 'running', lease_until = now() - interval '1 second'"
        session.execute(sa.text(f"UPDATE run SET {lost}, part = '{{}}', report = NULL"))
        session.execute(sa.text("UPDATE feed SET content_digest = NULL, version = NULL"))
    assert service.reconcile(own) == 1
    assert desk.work(run)["status"] == "succeeded"
    both = desk.published(run)
    assert sorted(map(msgspec.json.encode, both)) == sorted(map(msgspec.json.encode, first * 2))


def test_a_run_in_good_hands_is_left_alone(desk: Desk, own: Database, client: TestClient) -> None:
    run = desk.upload(LIST)
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text("UPDATE run SET state = 'running', lease_until = now() + interval '1 minute'")
        )
    assert desk.work(run)["status"] == "skipped"
    assert service.reconcile(own) == 0


@pytest.mark.parametrize(
    ("body", "format_", "place"),
    [
        (b'{"type": "bundle", "objects": [{"type": "indica', "stix", "byte"),
        (b"when;what\n2026-01-01;lunch\n", "csv", "when"),
        (bytes(range(256)) * 300, None, ""),
        (b"203.0.113.1\n", "carrier-pigeon", "format"),
        (
            b"<!doctype html><html><body><h1>503 Service Unavailable</h1></body></html>",
            None,
            "HTML",
        ),
        (
            b"<!doctype html><html><body><h1>503 Service Unavailable</h1></body></html>",
            "text",
            "HTML",
        ),
    ],
)
def test_bad_input_is_a_clear_error_and_changes_nothing(
    desk: Desk, own: Database, client: TestClient, body: bytes, format_: str | None, place: str
) -> None:
    desk.work(desk.upload(LIST))
    parameters = {"name": "mine"} if format_ is None else {"name": format_, "format": format_}
    answer = client.post("/v1/ingest", params=parameters, content=body)
    if answer.status_code == 202:
        run = answer.json()
        assert desk.work(run)["status"] == "failed"
        done = client.get(f"/v1/runs/{run['id']}").json()
        assert done["state"] == "failed"
        assert place.lower() in done["error"]["message"].lower()
        assert desk.published(run) == []
    else:
        assert answer.status_code == 422
        assert answer.json()["field"] == place


def test_a_feed_is_fetched_and_unchanged_costs_one_request(
    desk: Desk, own: Database, client: TestClient, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = LIST
    feed = client.post(
        "/v1/feeds", json={"name": "by-http", "url": url, "every_seconds": 3600}
    ).json()
    states = []
    for _ in range(2):
        run = client.post(f"/v1/feeds/{feed['id']}/runs").json()
        states.append(desk.work(run)["status"])
    handler.etag = '"2"'
    run = client.post(f"/v1/feeds/{feed['id']}/runs").json()
    states.append(desk.work(run)["status"])
    assert states == ["succeeded", "unchanged", "unchanged"]
    assert len(handler.requests) == 3


def test_a_provider_that_fails_is_tried_again_later_and_a_refusal_is_not(
    desk: Desk, own: Database, client: TestClient, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = LIST
    feed = client.post("/v1/feeds", json={"name": "flaky", "url": url}).json()
    handler.status = 503
    run = client.post(f"/v1/feeds/{feed['id']}/runs").json()
    assert desk.work(run)["status"] == "waiting"
    assert desk.work(run)["status"] == "skipped"  # its time has not come
    handler.status = 404
    run = client.post(f"/v1/feeds/{feed['id']}/runs").json()
    assert desk.work(run)["status"] == "failed"
    assert "404" in client.get(f"/v1/runs/{run['id']}").json()["error"]["message"]


def test_due_feeds_are_started_once(own: Database, client: TestClient) -> None:
    for number in range(3):
        body = {"name": f"due-{number}", "url": "http://127.0.0.1:1/x", "every_seconds": 60}
        assert client.post("/v1/feeds", json=body).status_code == 201
    assert service.start_due_feeds(own) == 3
    assert service.start_due_feeds(own) == 0


def test_feeds_of_other_tenants_cannot_be_seen_or_changed(
    client: TestClient, client_for: Callable[..., TestClient]
) -> None:
    feed = client.post(
        "/v1/feeds", json={"name": "secret", "url": "https://example.com/list"}
    ).json()
    other = client_for("feeds", "globex", "admin")
    assert other.get("/v1/feeds").json()["items"] == []
    assert other.get(f"/v1/feeds/{feed['id']}").status_code == 404
    assert other.patch(f"/v1/feeds/{feed['id']}", json={"enabled": False}).status_code == 404
    assert other.delete(f"/v1/feeds/{feed['id']}").status_code == 404
    public = client_for("feeds", "public", "operator").post(
        "/v1/feeds", json={"name": "all", "url": "https://example.com"}
    )
    assert [feed["name"] for feed in other.get("/v1/feeds").json()["items"]] == ["all"]
    assert other.post(f"/v1/feeds/{public.json()['id']}/runs").status_code == 403
    assert other.delete(f"/v1/feeds/{public.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    ("role", "status"), [(None, 401), ("viewer", 403), ("analyst", 403), ("admin", 201)]
)
def test_only_admins_subscribe(
    client_for: Callable[..., TestClient], role: str | None, status: int
) -> None:
    body = {"name": f"by {role}", "url": "https://example.com/list"}
    assert client_for("feeds", "acme", role).post("/v1/feeds", json=body).status_code == status


def test_a_name_is_taken_once(client: TestClient) -> None:
    body = {"name": "twice", "url": "https://example.com/list"}
    assert client.post("/v1/feeds", json=body).status_code == 201
    answer = client.post("/v1/feeds", json=body)
    assert (answer.status_code, answer.json()["field"]) == (409, "name")

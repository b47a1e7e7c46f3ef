"""Quotas of the feeds service: what exceeds them is refused with the figures, or waits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from services.feeds.quotas.limits import QUOTAS
from services.feeds.runs.service import start_due_feeds
from shared.database import PLATFORM, Database
from shared.quotas import quota_named, set_limit
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import change, column, listed


@pytest.fixture
def limit(own: Database) -> Callable[[str, int], None]:
    """Sets a limit of the tenant."""
    for table in ("quota", "quota_use"):
        change(own, f"DELETE FROM {table}")

    def set_one(name: str, most: int) -> None:
        with own.transaction(PLATFORM) as session:
            set_limit(session, "acme", quota_named(QUOTAS, name), most, "ops")

    return set_one


Limit = Callable[[str, int], None]


def test_feeds_beyond_the_quota_are_refused_with_the_figures(desk: Desk, limit: Limit) -> None:
    limit("feeds", 2)
    desk.feed(name="first")
    desk.upload(listed(1), name="second")
    refused = desk.client.post("/v1/feeds", json={"name": "third"})
    assert refused.status_code == 403
    problem = refused.json()
    assert problem["type"] == "urn:sentineliq:problem:quota-exceeded"
    assert (problem["quota"], problem["limit"], problem["used"]) == ("feeds", 2, 2)
    upload = desk.client.post("/v1/ingest", params={"name": "third"}, content=listed(1))
    assert upload.status_code == 403
    assert desk.upload(listed(2), name="second"), "a feed that is there goes on"


def test_feeds_made_at_once_do_not_exceed_the_quota(desk: Desk, limit: Limit) -> None:
    limit("feeds", 3)

    def make(number: int) -> int:
        body = {"name": f"list-{number}"}
        return int(desk.client.post("/v1/feeds", json=body).status_code)

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(make, range(12)))
    assert sorted(statuses) == [201] * 3 + [403] * 9


def test_runs_beyond_the_quota_are_answered_with_the_time(desk: Desk, limit: Limit) -> None:
    limit("runs-per-hour", 2)
    desk.upload(listed(1))
    desk.upload(listed(2))
    refused = desk.client.post("/v1/ingest", params={"name": "mine"}, content=listed(3))
    assert refused.status_code == 429
    problem = refused.json()
    assert problem["type"] == "urn:sentineliq:problem:rate-exceeded"
    assert (problem["quota"], problem["limit"], problem["used"]) == ("runs-per-hour", 2, 2)
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert problem["free_at"]
    assert column(desk.own, "SELECT count(*) FROM run") == 2


def test_a_feed_that_is_due_waits_when_the_quota_is_used_up(desk: Desk, limit: Limit) -> None:
    limit("runs-per-hour", 1)
    for name in ("first", "second"):
        desk.feed(name=name, url=f"http://127.0.0.1:9/{name}", every_seconds=60)
    assert start_due_feeds(desk.own) == 1
    assert column(desk.own, "SELECT count(*) FROM run") == 1
    late = "SELECT count(*) FROM feed WHERE next_run_at > now() + interval '55 minutes'"
    assert column(desk.own, late) == 1


def test_bytes_beyond_the_quota_wait(
    desk: Desk, limit: Limit, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = listed(*range(200))
    handler.etag = ""
    limit("fetched-bytes-per-day", 20)
    run = desk.fetch(desk.feed(url=url))
    assert desk.done(run)["state"] == "succeeded", "a fetch that has begun is fetched to its end"
    second = desk.fetch(desk.feed(url=url, name="another"))
    assert desk.work(second)["status"] == "postponed"
    upload = desk.client.post("/v1/ingest", params={"name": "mine"}, content=listed(3))
    assert upload.status_code == 429
    assert upload.json()["quota"] == "fetched-bytes-per-day"
    assert upload.json()["used"] > 20


@pytest.mark.parametrize("is_first", [True, False])
def test_a_list_that_exceeds_the_stored_rows_fails_its_run(
    desk: Desk, limit: Limit, is_first: bool
) -> None:
    if not is_first:
        assert desk.done(desk.upload(listed(1), kind="snapshot"))["state"] == "succeeded"
    limit("stored-rows", 10)
    run = desk.upload(listed(*range(11)), kind="snapshot")
    done = desk.done(run)
    assert done["state"] == "failed"
    assert done["error"]["code"] == "quota-exceeded"
    fitting = desk.upload(listed(*range(10)), kind="snapshot")
    assert desk.done(fitting)["state"] == "succeeded"


def test_operators_set_limits_over_the_api(
    desk: Desk, limit: Limit, client_for: Callable[..., TestClient]
) -> None:
    operator = client_for("feeds", tenant="public", role="operator")
    path = "/v1/quotas/acme/feeds"
    changed = operator.put(path, json={"limit": 1})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["limit"], changed.json()["is_default"]) == (1, False)
    desk.feed(name="first")
    assert desk.client.post("/v1/feeds", json={"name": "second"}).status_code == 403
    assert _quota(desk.client, "feeds") == {
        "tenant": "acme",
        "name": "feeds",
        "unit": "feeds",
        "limit": 1,
        "is_default": False,
        "used": 1,
        "free_at": None,
    }
    assert operator.put(path, json={"limit": None}).json()["is_default"] is True
    assert desk.client.put(path, json={"limit": 9}).status_code == 403
    assert operator.put("/v1/quotas/acme/nothing", json={"limit": 9}).status_code == 404
    assert operator.put(path, json={"limit": -1}).status_code == 422
    assert operator.get("/v1/quotas", params={"tenant": "acme"}).status_code == 200
    assert desk.client.get("/v1/quotas", params={"tenant": "other"}).status_code == 403


def _quota(client: TestClient, name: str) -> dict[str, Any]:
    items = client.get("/v1/quotas").json()["items"]
    quota: dict[str, Any] = next(item for item in items if item["name"] == name)
    return quota

"""Options of a feed have a size, and feeds of before that exceed it can still be read."""

import json
from collections.abc import Callable

from starlette.testclient import TestClient

from shared.database import Database
from tests.feeds.conftest import Desk
from tests.feeds.runs.lists import change


def test_options_of_any_size_are_refused(desk: Desk) -> None:
    """`options.family` took 300,000 characters, and each record had them."""
    feed = {"name": "long", "format": "csv", "options": {"family": "x" * 300_000}}
    refused = desk.client.post("/v1/feeds", json=feed)
    assert refused.status_code == 422
    assert refused.json()["field"] == "options"
    upload = desk.client.post(
        "/v1/ingest",
        params={"name": "long", "options": json.dumps({"family": "x" * 20_000})},
        content=b"198.51.100.1\n",
    )
    assert upload.status_code == 422


def test_a_feed_of_before_is_still_read(
    desk: Desk, own: Database, client_for: Callable[..., TestClient]
) -> None:
    feed = desk.feed(name="old")
    long = json.dumps({"family": "x" * 20_000})
    change(own, "UPDATE feed SET options = CAST(:long AS jsonb) WHERE name = 'old'", long=long)
    assert desk.client.get(f"/v1/feeds/{feed['id']}").status_code == 200
    assert desk.client.get("/v1/feeds").status_code == 200

"""Credentials leave for the origin of their feed only: counted at two listeners."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from services.feeds.collectors.base import Credentials, FeedSource
from services.feeds.collectors.registry import collector_named
from shared.errors import SentinelIQError
from shared.http import GuardedClient
from tests.feeds.listeners import Answer, Listener, listening

ALLOW = [ip_network("127.0.0.0/8")]
SECRET = "PAID-FEED-SECRET"
CREDENTIALS = {
    "header": Credentials({"Authorization": f"Bearer {SECRET}"}),
    "query": Credentials(query={"apikey": SECRET}),
}
TAXII = {"Content-Type": "application/taxii+json;version=2.1"}
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"


def taxii_root(path: str) -> Answer:
    """An API root at any address: one collection without objects."""
    collection = {"id": COLLECTION, "title": "all", "can_read": True, "can_write": False}
    body: dict[str, Any] = {"title": "root", "versions": ["2.1"], "max_content_length": 1}
    if "objects" in path:
        body = {"objects": []}
    elif "collections" in path:
        body = {"collections": [collection]}
    return 200, TAXII, json.dumps(body).encode()


@pytest.fixture
def others() -> Iterator[Listener]:
    """A server that is not the feed's."""
    with listening(taxii_root) as listener:
        yield listener


def fetch(
    collector: str, url: str, scratch: Path, credentials: Credentials, **options: Any
) -> None:
    async def run() -> None:
        source = FeedSource(url, options, {}, credentials)
        async with (
            GuardedClient(ALLOW) as client,
            aclosing(collector_named(collector).collect(source, client, scratch)) as documents,
        ):
            async for _ in documents:
                pass

    asyncio.run(run())


@pytest.fixture(params=CREDENTIALS)
def credentials(request: pytest.FixtureRequest) -> Credentials:
    return CREDENTIALS[request.param]


@pytest.mark.parametrize("field", ["default", "api_roots"])
def test_a_discovery_that_names_another_host_gets_no_secret_there(
    field: str, others: Listener, credentials: Credentials, tmp_path: Path
) -> None:
    def discovery(path: str) -> Answer:
        body: dict[str, Any] = {"title": "t", "api_roots": [f"{others.url}/root/"]}
        if field == "default":
            body["default"] = f"{others.url}/root/"
        return 200, TAXII, json.dumps(body).encode()

    with listening(discovery) as own:
        fetch("taxii", f"{own.url}/taxii2/", tmp_path, credentials, collection=COLLECTION)
        assert own.count(SECRET) == len(own.requests) > 0
    assert len(others.requests) > 0
    assert others.count(SECRET) == 0


def test_roots_of_the_same_origin_get_it(credentials: Credentials, tmp_path: Path) -> None:
    def server(path: str) -> Answer:
        if path.startswith("/taxii2/"):
            return 200, TAXII, json.dumps({"title": "t", "api_roots": ["/root/"]}).encode()
        return taxii_root(path)

    with listening(server) as own:
        fetch("taxii", f"{own.url}/taxii2/", tmp_path, credentials, collection=COLLECTION)
        assert own.count(SECRET) == len(own.requests) >= 3


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("collector", ["http", "taxii", "misp"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_carries_no_secret(
    collector: str,
    status: int,
    others: Listener,
    credentials: Credentials,
    tmp_path: Path,
) -> None:
    def away(path: str) -> Answer:
        # A server that copies the query into the address it redirects to.
        return status, {"Location": f"{others.url}{path}"}, b""

    with listening(away) as own:
        # What the other server answers is no feed of this kind.
        with suppress(SentinelIQError):
            fetch(collector, f"{own.url}/list", tmp_path, credentials)
        assert own.count(SECRET) > 0
    assert len(others.requests) > 0
    assert others.count(SECRET) == 0

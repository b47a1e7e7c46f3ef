"""Origins travel with the feed: in its chunks, and at the end of a run that has no news."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from starlette.testclient import TestClient

from services.observables.store.handlers import handle_finished
from shared.database import Database
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, Indicator, RunFinished
from tests.observables.conftest import after, chunk, handle

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")


def feed(number: int, **origin: object) -> FeedRef:
    return FeedRef(UUID(int=number), f"list {number}", 80, kind="snapshot", **origin)


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    return client_for("observables")


def assessed(client: TestClient, **query: str) -> tuple[int, int, float]:
    view = client.get("/v1/lookup", params={"value": "192.0.2.1", **query}).json()["observable"]
    return view["score"], view["assessment"]["sources"], view["assessment"]["independent"]


def test_lists_of_one_provider_are_one_witness(own: Database, client: TestClient) -> None:
    for number in range(1, 5):
        handle(own, chunk(ADDRESS, feed=feed(number, origin="abuse.ch")))
    assert assessed(client) == (72, 4, 1.0)
    handle(own, chunk(ADDRESS, feed=feed(5, origin="firehol", derived_from=("abuse.ch",))))
    assert assessed(client) == (72, 5, 1.0)
    handle(own, chunk(ADDRESS, feed=feed(6, origin="spamhaus")))
    assert assessed(client) == (92, 6, 2.0)


def test_a_run_without_news_names_the_origin_and_the_past_stays(
    own: Database, client: TestClient
) -> None:
    for number in (1, 2):
        handle(own, chunk(ADDRESS, feed=feed(number)))
    assert assessed(client) == (92, 2, 2.0)
    before = datetime.now(UTC).isoformat()
    for number in (1, 2):
        finished = RunFinished(feed(number, origin="abuse.ch"), UUID(int=9), "unchanged")
        event = Event(FINISHED, finished, "acme", "/services/feeds", time=after(60))
        with own.transaction("acme") as session:
            handle_finished(session, [event])
    assert assessed(client) == (72, 2, 1.0)
    assert assessed(client, as_of=before) == (92, 2, 2.0)


def test_a_reference_of_a_feed_from_before_has_no_origin() -> None:
    old = b'{"id": "5f0c7a52-0d4c-4a0f-8d3e-2f6a5ad1a001", "name": "urlhaus"}'
    reference = msgspec.json.decode(old, type=FeedRef)
    assert (reference.origin, reference.derived_from) == ("", ())

"""A feed's credentials are for the origin of its address: another one needs them anew."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.feeds.collectors.credentials import PURPOSE
from shared.crypto import Sealer
from shared.database import PLATFORM
from shared.keys import keys_of
from shared.settings import Settings
from tests.feeds.conftest import Desk
from tests.feeds.listeners import Answer, Listener, listening

SECRET = "PAID-FEED-SECRET"
AUTHS = {
    "bearer": {"kind": "bearer", "token": SECRET},
    "header": {"kind": "header", "name": "Auth-Key", "value": SECRET},
    "query": {"kind": "query", "name": "apikey", "value": SECRET},
}


def some_list(_path: str) -> Answer:
    return 200, {"Content-Type": "text/plain"}, b"198.51.100.7\n"


@pytest.fixture
def paid() -> Iterator[Listener]:
    with listening(some_list) as listener:
        yield listener


@pytest.fixture
def thief() -> Iterator[Listener]:
    with listening(some_list) as listener:
        yield listener


@pytest.fixture(params=AUTHS)
def feed(request: pytest.FixtureRequest, desk: Desk, paid: Listener) -> dict[str, Any]:
    return desk.feed(url=f"{paid.url}/list", auth=AUTHS[request.param])


def change(client: TestClient, feed: dict[str, Any], **values: Any) -> Any:
    return client.patch(f"/v1/feeds/{feed['id']}", json=values)


def test_a_second_admin_cannot_send_the_secret_to_his_own_listener(
    desk: Desk, client: TestClient, feed: dict[str, Any], paid: Listener, thief: Listener
) -> None:
    answer = change(client, feed, url=f"{thief.url}/steal")
    assert (answer.status_code, answer.json()["field"]) == (422, "auth")
    assert paid.url.removeprefix("http://") in answer.json()["title"]
    desk.work(desk.fetch(feed))
    assert (paid.count(SECRET), thief.count(SECRET)) == (1, 0)


def test_nor_by_another_port_or_scheme_or_by_taking_the_address_away(
    client: TestClient, feed: dict[str, Any], paid: Listener
) -> None:
    for url in ("https" + paid.url[4:], f"{paid.url.rpartition(':')[0]}:1", None):
        assert change(client, feed, url=url).status_code == 422


def test_another_path_of_the_same_origin_keeps_the_secret(
    desk: Desk, client: TestClient, feed: dict[str, Any], paid: Listener
) -> None:
    assert change(client, feed, url=f"{paid.url}/other").status_code == 200
    desk.work(desk.fetch(feed))
    assert paid.count(SECRET) == 1


def test_another_origin_gets_the_secret_that_is_given_for_it(
    desk: Desk, client: TestClient, feed: dict[str, Any], paid: Listener, thief: Listener
) -> None:
    auth = {"kind": "bearer", "token": "ANOTHER"}
    assert change(client, feed, url=f"{thief.url}/list", auth=auth).status_code == 200
    desk.work(desk.fetch(feed))
    assert (thief.count(SECRET), thief.count("ANOTHER")) == (0, 1)
    assert change(client, feed, url=f"{paid.url}/list", auth=None).status_code == 200


def test_a_secret_of_before_still_opens(
    desk: Desk, feed: dict[str, Any], paid: Listener, settings: Settings
) -> None:
    sealer = Sealer(keys_of(settings), PURPOSE)
    name = "token" if feed["auth"]["kind"] == "bearer" else "value"
    sealed = sealer.seal(json.dumps({name: SECRET}), feed["id"])
    with desk.own.transaction(PLATFORM) as session:
        statement = sa.text("UPDATE feed SET secret = :secret WHERE id = :id")
        session.execute(statement, {"secret": sealed, "id": feed["id"]})
    desk.work(desk.fetch(feed))
    assert paid.count(SECRET) == 1

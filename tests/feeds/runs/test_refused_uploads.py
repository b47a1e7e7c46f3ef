"""Uploads that are refused: their bytes count, and nothing of them stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from services.feeds.quotas.limits import FETCHED_BYTES, QUOTAS
from shared.database import PLATFORM
from shared.quotas import list_states, quota_named, set_limit
from tests.feeds.conftest import Desk
from tests.feeds.runs.lists import change, listed

ClientFor = Callable[..., TestClient]


@pytest.fixture
def fresh_desk(desk: Desk) -> Desk:
    """A desk whose tenant has used nothing."""
    for table in ("quota", "quota_use"):
        change(desk.own, f"DELETE FROM {table}")
    return desk


def payloads(desk: Desk) -> set[Path]:
    """All files of the payload store, also those that are not complete."""
    folder = desk.settings.data_dir / "payloads"
    return {path for path in folder.rglob("*") if path.is_file()}


def received(desk: Desk) -> int:
    with desk.own.transaction("acme") as session:
        (state,) = list_states(session, "acme", [FETCHED_BYTES])
    return state.used


def test_an_analyst_who_may_make_no_feed_is_refused_before_his_body_is_read(
    fresh_desk: Desk, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = payloads(fresh_desk)
    calls = []
    store = type(fresh_desk.client.app.state.payloads)  # type: ignore[attr-defined]
    receive = store.receive

    async def count_calls(self, stream, folder):  # type: ignore[no-untyped-def]
        calls.append(folder)
        return await receive(self, stream, folder)

    monkeypatch.setattr(store, "receive", count_calls)
    analyst = client_for("feeds", role="analyst")
    body = listed(*range(200))
    refused = analyst.post("/v1/ingest", params={"name": "not-there"}, content=body)
    assert refused.status_code == 403, refused.text
    assert (calls, payloads(fresh_desk)) == ([], before)


@pytest.mark.parametrize(
    ("role", "params", "status"),
    [
        ("analyst", {"name": "mine", "confidence": "3"}, 403),
        ("admin", {"name": "mine", "confidence": "3"}, 409),
        ("admin", {"name": "mine", "format": "no-such-format"}, 422),
        ("admin", {"name": "new", "format": "csv", "options": '{"no_option": 1}'}, 422),
    ],
)
def test_a_refused_upload_leaves_no_file(
    fresh_desk: Desk, client_for: ClientFor, role: str, params: dict[str, str], status: int
) -> None:
    fresh_desk.done(fresh_desk.upload(listed(1)))
    before = payloads(fresh_desk)
    client = client_for("feeds", role=role)
    refused = client.post("/v1/ingest", params=params, content=listed(*range(7, 90)))
    assert refused.status_code == status, refused.text
    assert payloads(fresh_desk) == before


def test_what_a_refused_upload_brought_counts(fresh_desk: Desk) -> None:
    body = listed(*range(7, 90))
    params = {"name": "new", "format": "csv", "options": '{"no_option": 1}'}
    refused = fresh_desk.client.post("/v1/ingest", params=params, content=body)
    assert refused.status_code == 422, refused.text
    assert received(fresh_desk) == len(body)
    fresh_desk.upload(body, name="other")
    assert received(fresh_desk) == 2 * len(body), "an upload that is taken counts once"


def test_runs_that_are_used_up_leave_no_file(fresh_desk: Desk) -> None:
    fresh_desk.upload(listed(1))
    before = payloads(fresh_desk)
    with fresh_desk.own.transaction(PLATFORM) as session:
        set_limit(session, "acme", quota_named(QUOTAS, "runs-per-hour"), 1, "ops")
    answer = fresh_desk.client.post("/v1/ingest", params={"name": "mine"}, content=listed(2, 3))
    assert answer.status_code == 429
    assert payloads(fresh_desk) == before

"""The routes of the outbox: operators only, all or nothing, audited."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from shared.database import PLATFORM, Database, database

ROW = sa.text(
    "INSERT INTO outbox (topic, key, headers, payload, tenant, attempts, published_at, parked_at,"
    " error) VALUES ('audit.recorded.v1', :key, '[]', 'abc', 'acme', 8, :published_at, :parked_at,"
    " 'refused') RETURNING id"
)


@pytest.fixture
def own(environment: object) -> Database:
    own = database("mitre")
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM outbox"))
    return own


@pytest.fixture
def operator(client_for: Callable[..., TestClient]) -> TestClient:
    return client_for("mitre", tenant="public", role="operator")


def insert(own: Database, *, published: bool = False, parked: bool = False) -> int:
    now = datetime.now(UTC)
    values = {
        "key": b"\xff",
        "published_at": now if published else None,
        "parked_at": now if parked else None,
    }
    with own.transaction(PLATFORM) as session:
        return int(session.execute(ROW, values).scalar_one())


def audited(own: Database) -> list[str]:
    query = "SELECT convert_from(payload, 'UTF8') FROM outbox WHERE payload LIKE '%kim@acme%'"
    with own.transaction(PLATFORM) as session:
        return list(session.scalars(sa.text(query + " ORDER BY id")))


def test_parked_events_are_shown_in_pages_retried_and_discarded(
    own: Database, operator: TestClient
) -> None:
    ids = [insert(own, parked=True) for _ in range(3)]
    waiting = insert(own)
    state = operator.get("/v1/outbox").json()
    assert (state["waiting"], state["parked"]) == (1, 3)
    assert 0 <= state["oldest_seconds"] < 60
    page = operator.get("/v1/outbox/parked", params={"limit": 2}).json()
    rest = operator.get("/v1/outbox/parked", params={"after": page["next"]}).json()
    assert [row["id"] for row in page["items"] + rest["items"]] == ids
    row = page["items"][0]
    assert (row["key"], row["size"], row["reason"]) == ("\\xff", 3, "refused")

    some_unknown = operator.post("/v1/outbox/parked/retry", json={"ids": [ids[0], waiting]})
    assert some_unknown.status_code == 404
    assert operator.get("/v1/outbox").json()["parked"] == 3
    retried = operator.post("/v1/outbox/parked/retry", json={"ids": ids[:1]})
    assert retried.json() == {"ids": ids[:1]}
    discarded = operator.post("/v1/outbox/parked/discard", json={"ids": ids[1:]})
    assert sorted(discarded.json()["ids"]) == ids[1:]
    assert operator.get("/v1/outbox").json()["parked"] == 0
    assert [text.count("outbox.") for text in audited(own)] == [1, 1, 1]


def test_what_was_published_since_a_time_is_published_again(
    own: Database, operator: TestClient
) -> None:
    insert(own, published=True)
    insert(own, parked=True)
    now = datetime.now(UTC)
    later = {"since": (now + timedelta(hours=1)).isoformat()}
    assert operator.post("/v1/outbox/resend", json=later).json() == {"events": 0}
    order = {"since": (now - timedelta(hours=1)).isoformat(), "topics": ["audit.recorded.v1"]}
    assert operator.post("/v1/outbox/resend", json=order).json() == {"events": 1}
    naive = operator.post("/v1/outbox/resend", json={"since": "2026-01-01T00:00:00"})
    assert naive.status_code == 422


def test_only_operators_may_touch_an_outbox(client_for: Callable[..., TestClient]) -> None:
    admin = client_for("mitre", role="admin")
    assert admin.get("/v1/outbox").status_code == 403
    assert admin.post("/v1/outbox/parked/discard", json={"ids": [1]}).status_code == 403

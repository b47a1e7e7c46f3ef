"""A tenant's reports about a public observable: one score, published, stored and read alike."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.store import new_observables, rescore
from services.observables.store.due_scores import check_due
from services.observables.store.repository import read as stored_read
from shared.database import PUBLIC, Database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from shared.stix import Observable, ObservableType
from tests.observables.conftest import OTHER, after, changes, chunk, handle

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")
COMMUNITY = FeedRef(UUID(int=9), "community", 90, kind="snapshot")


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    handle(own, chunk(ADDRESS, feed=COMMUNITY, tenant=PUBLIC), tenant=PUBLIC)
    changes(own)
    return client_for("observables")


def read(client: TestClient) -> dict:
    return client.get("/v1/lookup", params={"value": ADDRESS.value}).json()["observable"]


def stored(own: Database) -> int:
    with own.transaction("acme") as session:
        return session.scalar(sa.text("SELECT score FROM observable WHERE tenant = 'acme'"))


def test_a_tenants_first_word_is_told_with_what_is_public(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(ADDRESS, feed=OTHER))
    seen = read(client)
    assert changes(own) == [(ADDRESS.value, "new", seen["score"], None)]
    assert stored(own) == seen["score"] > 81
    assert {assertion["source"] for assertion in seen["assertions"]} == {"community", "honeypots"}


def test_taking_back_a_word_leaves_what_is_public(own: Database, client: TestClient) -> None:
    handle(own, chunk(ADDRESS, feed=OTHER, at=after(1)))
    both = read(client)["score"]
    changes(own)
    handle(own, chunk(gone=[ADDRESS], feed=OTHER, at=after(2)))
    alone = read(client)["score"]
    assert changes(own) == [(ADDRESS.value, "changed", alone, both)]
    assert stored(own) == alone == 81


def test_a_tenant_that_never_said_it_and_takes_it_back_changes_nothing(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(gone=[ADDRESS], feed=OTHER))
    assert changes(own) == []
    assert stored(own) == read(client)["score"] == 81


def test_time_and_answers_do_not_undo_what_is_public(own: Database, client: TestClient) -> None:
    client.post(
        "/v1/sightings",
        json={"sightings": [{"value": ADDRESS.value, "kind": "confirmed-malicious"}]},
    ).raise_for_status()
    seen = read(client)["score"]
    assert changes(own) == [(ADDRESS.value, "changed", seen, 81)]
    assert stored(own) == seen > 81
    identity = read(client)["id"][-36:]
    now = datetime.now(UTC)
    with own.transaction("acme") as session:
        rescore.publish_changes(
            session, "acme", rescore.rescore(session, "acme", [identity], now), "enrichment"
        )
    with own.transaction("acme") as session:
        session.execute(
            sa.text("UPDATE sighting SET last_seen = :at"), {"at": now - timedelta(days=60)}
        )
        session.execute(sa.text("UPDATE observable SET due_at = :at"), {"at": now})
    check_due(own)
    assert [change for change in changes(own) if change[1] == "expired"] == []
    assert stored(own) == pytest.approx(read(client)["score"], abs=4)


def test_what_changes_for_everybody_reaches_the_rows_of_tenants(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(ADDRESS, feed=OTHER, at=after(1)))
    alone_and_public = read(client)["score"]
    changes(own)
    handle(own, chunk(gone=[ADDRESS], feed=COMMUNITY, at=after(2), tenant=PUBLIC), tenant=PUBLIC)
    assert changes(own) == [(ADDRESS.value, "expired", 0, 81)]
    assert check_due(own).published == 1
    alone = read(client)["score"]
    assert changes(own) == [(ADDRESS.value, "changed", alone, alone_and_public)]
    assert stored(own) == alone
    handle(own, chunk(ADDRESS, feed=COMMUNITY, at=after(3), tenant=PUBLIC), tenant=PUBLIC)
    changes(own)
    check_due(own)
    assert changes(own) == [(ADDRESS.value, "changed", alone_and_public, alone)]
    assert stored(own) == read(client)["score"] == alone_and_public


def test_a_question_about_what_is_public_moves_nothing(own: Database, client: TestClient) -> None:
    identity = read(client)["id"][-36:]
    now = datetime.now(UTC)
    with own.transaction("acme") as session:
        new_observables.put(
            session, "acme", {identity: Observable(ObservableType.IPV4, ADDRESS.value)}, now
        )
        rescore.publish_changes(
            session, "acme", rescore.rescore(session, "acme", [identity], now), "enrichment"
        )
    assert changes(own) == []
    assert stored(own) == read(client)["score"] == 81


def test_public_knowledge_is_the_operators_own(own: Database, client: TestClient) -> None:
    handle(own, chunk(ADDRESS, feed=OTHER))
    with own.transaction(PUBLIC) as session:
        state = stored_read.read_states(session, PUBLIC, [read(client)["id"][-36:]])[
            read(client)["id"][-36:]
        ]
    assert [assertion.source for assertion in state.all_assertions] == ["community"]
    assert state.public == ()

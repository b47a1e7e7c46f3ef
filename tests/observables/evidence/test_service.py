"""Copies are measured from what is stored, and count in scores, answers and their past."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.evidence.service import measure_sources
from services.observables.store.due_scores import check_due
from shared.database import PLATFORM, Database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from tests.observables.conftest import after, changes, chunk, handle

COUNT = 60


def feed(number: int) -> FeedRef:
    return FeedRef(UUID(int=100 + number), f"list {number}", 80, kind="snapshot")


def addresses(network: int, count: int = COUNT) -> list[Indicator]:
    return [Indicator("ipv4-addr", f"198.51.{network}.{number}") for number in range(1, count + 1)]


@pytest.fixture
def mirrored(own: Database) -> Database:
    """A list, its mirror, and an independent list that shares little with them."""
    handle(own, chunk(*addresses(1), feed=feed(1), at=after(-5)))
    handle(own, chunk(*addresses(1), feed=feed(2), at=after(0)))
    handle(own, chunk(*addresses(2), *addresses(1, 3), feed=feed(3), at=after(0)))
    return own


def lookup(client: TestClient, value: str, **query: str) -> dict:
    return client.get("/v1/lookup", params={"value": value, **query}).json()["observable"]


def test_a_mirror_is_found_and_adds_nothing_from_then_on(
    mirrored: Database, client_for: Callable[..., TestClient]
) -> None:
    client = client_for("observables")
    before = lookup(client, "198.51.1.9")
    assert (before["score"], before["assessment"]["independent"]) == (92, 2.0)
    moment = datetime.now(UTC).isoformat()
    outcome = measure_sources(mirrored)
    assert (outcome.pairs, outcome.changed, outcome.due) == (1, 1, COUNT)
    after_it = lookup(client, "198.51.1.9")
    assert 72 <= after_it["score"] < 74
    assert "2 sources, 1 independent" in after_it["assessment"]["sentence"]
    three = lookup(client, "198.51.1.2")
    assert "3 sources, 2 independent" in three["assessment"]["sentence"]
    explained = client.get(f"/v1/observables/{after_it['id']}/explain").json()
    assert round(sum(part["points"] for part in explained["contributions"])) == after_it["score"]
    assert min(part["share"] for part in explained["contributions"]) < 0.05
    then = lookup(client, "198.51.1.9", as_of=moment)
    assert (then["score"], then["assessment"]) == (before["score"], before["assessment"])


def test_stored_scores_follow_and_another_measurement_changes_nothing(mirrored: Database) -> None:
    changes(mirrored)
    measure_sources(mirrored)
    with mirrored.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE observable SET due_at = now() WHERE due_at IS NOT NULL"))
    check_due(mirrored)
    moved = {value: score for value, _, score, _ in changes(mirrored)}
    assert len(moved) == COUNT
    assert moved["198.51.1.9"] < 74
    again = measure_sources(mirrored)
    assert (again.pairs, again.changed, again.due) == (1, 0, 0)


def test_what_arrives_later_is_scored_with_the_measurement(mirrored: Database) -> None:
    measure_sources(mirrored)
    fresh = Indicator("ipv4-addr", "203.0.113.77")
    handle(mirrored, chunk(fresh, feed=feed(1), at=after(10)))
    handle(mirrored, chunk(fresh, feed=feed(2), at=after(11)))
    with mirrored.transaction("acme") as session:
        score = session.execute(
            sa.text("SELECT score FROM observable WHERE value = '203.0.113.77'")
        ).scalar_one()
    assert score < 74


def test_pairs_are_listed_with_their_counts_and_only_to_their_tenant(
    mirrored: Database, client_for: Callable[..., TestClient]
) -> None:
    measure_sources(mirrored)
    (pair,) = client_for("observables").get("/v1/source-pairs").json()
    assert {pair["copier"], pair["original"]} == {"list 1", "list 2"}
    assert pair["shared"] == COUNT
    assert pair["containment"] == 1.0
    assert client_for("observables", tenant="globex").get("/v1/source-pairs").json() == []


def test_a_source_that_is_no_mirror_any_more_counts_again(mirrored: Database) -> None:
    measure_sources(mirrored)
    with mirrored.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM assertion WHERE source_id = :id"), {"id": feed(1).id})
    outcome = measure_sources(mirrored)
    assert (outcome.pairs, outcome.changed) == (0, 1)

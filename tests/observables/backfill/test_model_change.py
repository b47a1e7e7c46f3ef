"""A change of the model of scores: all is scored again, one event tells of it, the past stays."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.backfill import model_change, repository
from services.observables.backfill.model_change import apply_model
from shared.database import PLATFORM, Database
from shared.events.feeds import Indicator
from shared.events.observables import RESCORED, ScoresComputed
from tests.observables.conftest import OTHER, changes, chunk, handle, outbox

VALUES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")


@pytest.fixture
def upgraded(own: Database) -> Iterator[Database]:
    """A database in which `begin_model` may let the second model begin."""
    yield own
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text("UPDATE scoring_model SET since = '2000-01-01', finished_at = now()")
        )


def begin_model(own: Database) -> None:
    """Let the second model begin now, with scores in the rows that the first one gave."""
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE observable SET score = 99"))
        session.execute(
            sa.text(
                "UPDATE scoring_model SET since = clock_timestamp(), finished_at = NULL, "
                "progress = NULL, observables = 0, moved = 0, verdicts = '{}'"
            )
        )


def test_all_is_scored_again_and_one_event_tells_of_it(
    upgraded: Database, client_for: Callable[..., TestClient]
) -> None:
    indicators = [Indicator("ipv4-addr", value) for value in VALUES]
    handle(upgraded, chunk(*indicators))
    handle(upgraded, chunk(indicators[0], tenant="public"), tenant="public")
    changes(upgraded)
    begin_model(upgraded)
    while not apply_model(upgraded):
        pass
    (payload,) = outbox(upgraded, "observables.rescored.v1")
    counts = msgspec.json.decode(payload, type=ScoresComputed)
    assert (counts.model, counts.observables, counts.moved) == (2, 4, 4)
    assert counts.before == {"malicious": 4}
    assert counts.after == {"suspicious": 4}
    with upgraded.transaction("acme") as session:
        scores = session.scalars(sa.text("SELECT score FROM observable ORDER BY value")).all()
    assert set(scores) == {72}
    assert apply_model(upgraded)
    assert outbox(upgraded, "observables.rescored.v1") == []


def test_no_single_change_is_published(upgraded: Database) -> None:
    handle(upgraded, chunk(*(Indicator("ipv4-addr", value) for value in VALUES)))
    changes(upgraded)
    begin_model(upgraded)
    while not apply_model(upgraded):
        pass
    assert outbox(upgraded, "observables.changed.v1") == []


def test_the_past_is_answered_by_the_model_of_its_time(
    upgraded: Database, client_for: Callable[..., TestClient]
) -> None:
    client = client_for("observables")
    address = Indicator("ipv4-addr", "192.0.2.1")
    handle(upgraded, chunk(address))
    handle(upgraded, chunk(address, feed=OTHER))
    seen = {"value": "192.0.2.1", "place": "proxy"}
    client.post("/v1/sightings", json={"sightings": [seen]}).raise_for_status()
    before = datetime.now(UTC)
    begin_model(upgraded)
    query = {"value": "192.0.2.1"}
    then = client.get("/v1/lookup", params={**query, "as_of": before.isoformat()}).json()
    # Three doubts multiplied: 28 %, 55 %, and two thirds.
    assert then["observable"]["score"] == round(100 * (1 - 0.28 * 0.55 * 2 / 3))
    assert then["observable"]["assessment"] is None
    identity = then["observable"]["id"]
    path = f"/v1/observables/{identity}/explain"
    explained = client.get(path, params={"as_of": before.isoformat()}).json()
    assert explained["score"] == then["observable"]["score"]
    assert [part["kind"] for part in explained["contributions"]] == ["source", "source", "sighting"]
    assert explained["numbers"] is None
    now = client.get("/v1/lookup", params=query).json()["observable"]
    assert now["score"] == round(100 * (1 - 0.28 * 0.55))
    assert now["assessment"]["sources"] == 2


class Killed(BaseException):
    """The process is gone."""


def rescored(upgraded: Database) -> ScoresComputed:
    while not apply_model(upgraded):
        pass
    (payload,) = outbox(upgraded, RESCORED.name)
    return msgspec.json.decode(payload, type=ScoresComputed)


def test_a_worker_killed_after_scoring_is_counted_once(
    upgraded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(upgraded, chunk(*(Indicator("ipv4-addr", value) for value in VALUES)))
    changes(upgraded)
    begin_model(upgraded)

    def die(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(repository, "record_model_progress", die)
        with pytest.raises(Killed):
            apply_model(upgraded)
    counts = rescored(upgraded)
    assert (counts.observables, counts.moved) == (len(VALUES), len(VALUES))
    assert sum(counts.before.values()) == sum(counts.after.values()) == len(VALUES)


def test_a_worker_that_wakes_up_late_counts_nothing_again(
    upgraded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(upgraded, chunk(*(Indicator("ipv4-addr", value) for value in VALUES)))
    changes(upgraded)
    begin_model(upgraded)
    find = repository.next_contexts

    def freeze(*arguments: Any) -> list[repository.StoredContext]:
        rows = find(*arguments)
        monkeypatch.setattr(repository, "next_contexts", find)
        # Meanwhile another worker goes on, and is not at the end yet.
        with monkeypatch.context() as patch:
            patch.setattr(model_change, "_finish", lambda *_: None)
            apply_model(upgraded)
        return rows

    monkeypatch.setattr(repository, "next_contexts", freeze)
    assert not apply_model(upgraded)
    assert rescored(upgraded).observables == len(VALUES)

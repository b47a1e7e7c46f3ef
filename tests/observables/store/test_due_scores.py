"""Scores below a threshold are published once; what a source still lists does not fade."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.store.changes import build_change
from services.observables.store.due_scores import DueReport, check_due, wake_if_due
from services.observables.store.handlers import handle_finished
from services.observables.store.repository import read
from shared.database import PLATFORM, Database
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, Indicator, RunFinished
from shared.stix.ids import observable_id
from tests.observables.conftest import FEED, changes, chunk, handle

NOW = datetime.now(UTC)
STREAM = FeedRef(UUID(int=3), "sensors", 100)
ADDRESS = Indicator("ipv4-addr", "192.0.2.1")


def ago(**span: int) -> str:
    return (NOW - timedelta(**span)).isoformat()


def finished(own: Database, state: str, at: str) -> None:
    event = Event(
        FINISHED, RunFinished(FEED, UUID(int=9), state), "acme", "/services/feeds", time=at
    )
    with own.transaction("acme") as session:
        handle_finished(session, [event])


def test_a_score_that_fell_below_a_threshold_is_published_once(own: Database) -> None:
    handle(own, chunk(ADDRESS, feed=STREAM, at=ago(days=5)))
    assert changes(own) == [("192.0.2.1", "new", 90, None)]
    assert check_due(own) == DueReport(computed=1, published=1)
    ((value, kind, score, before),) = changes(own)
    assert (value, kind, before) == ("192.0.2.1", "changed", 90)
    assert 60 < score < 80
    assert check_due(own) == DueReport(computed=0, published=0)


def test_due_scores_are_asked_for_without_beat(own: Database) -> None:
    handle(own, chunk(ADDRESS, feed=STREAM, at=ago(days=5)))
    assert wake_if_due(own) == 1
    check_due(own)
    assert wake_if_due(own) == 0


def test_what_faded_away_has_expired(own: Database) -> None:
    handle(own, chunk(ADDRESS, feed=STREAM, at=ago(days=46)))
    changes(own)
    check_due(own)
    ((_, kind, score, before),) = changes(own)
    assert (kind, before) == ("expired", 90)
    assert score < 20


def test_an_assertion_ends_when_its_source_said_it_would(own: Database) -> None:
    limited = Indicator("ipv4-addr", "192.0.2.1", valid_until=ago(minutes=1))
    handle(own, chunk(limited, at=ago(hours=1)))
    assert changes(own) == [("192.0.2.1", "new", 72, None)]
    assert check_due(own).published == 1
    assert changes(own) == [("192.0.2.1", "expired", 0, 72)]
    assert check_due(own).computed == 0


def test_what_a_snapshot_still_lists_does_not_fade(own: Database) -> None:
    handle(own, chunk(ADDRESS, at=ago(days=30)))
    finished(own, "unchanged", ago(hours=1))
    changes(own)
    assert check_due(own).published == 0
    assert check_due(own).computed == 0


def test_a_snapshot_that_failed_or_was_held_back_confirms_nothing(own: Database) -> None:
    handle(own, chunk(ADDRESS, at=ago(days=30)))
    for state in ("failed", "held"):
        finished(own, state, ago(hours=1))
    changes(own)
    assert check_due(own).published == 1


def test_sources_are_confirmed_once_a_day_and_their_past_is_kept(own: Database) -> None:
    handle(own, chunk(ADDRESS, at=ago(days=3)))
    days = [f"2026-11-{day:02}" for day in (3, 4, 5)]
    for day in days:
        for time in ("12:00:00", "09:00:00", "23:59:59"):
            finished(own, "succeeded", f"{day}T{time}+00:00")
    finished(own, "succeeded", "2026-11-01T00:00:00+00:00")
    with own.transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT count(*) FROM source_past")) == len(days)
        confirmed = session.scalar(sa.text("SELECT confirmed_at FROM source"))
    assert confirmed.date().isoformat() == days[-1]


def test_an_assertion_that_lapsed_is_published_once_however_often_it_is_scored(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    limited = Indicator("ipv4-addr", "192.0.2.1", valid_until=ago(minutes=1))
    handle(own, chunk(limited, at=ago(hours=1)))
    report = {"value": "192.0.2.1", "kind": "confirmed-malicious", "place": "sensor"}
    client = client_for("observables", "acme", "analyst")
    client.post("/v1/sightings", json={"sightings": [report]}).raise_for_status()
    changes(own)
    with own.transaction("acme") as session:
        # The report came before the end of the assertion.
        session.execute(sa.text("UPDATE observable SET changed_at = now() - interval '1 hour'"))
    published = 0
    for _ in range(3):
        with own.transaction("acme") as session:
            session.execute(sa.text("UPDATE observable SET due_at = now()"))
        published += check_due(own).published
    assert published == 1


def test_what_had_lapsed_before_does_not_expire_again(own: Database) -> None:
    limited = Indicator("ipv4-addr", "192.0.2.1", valid_until=ago(minutes=1))
    handle(own, chunk(limited, at=ago(hours=1)))
    check_due(own)
    changes(own)
    with own.transaction("acme") as session:
        (state,) = read.read_states(
            session, "acme", [observable_id("ipv4-addr", "192.0.2.1")]
        ).values()
    assert build_change("x", state, state, 0, [], datetime.now(UTC)).kind == "changed"
    handle(own, chunk(gone=[ADDRESS], at=ago(seconds=0)))
    assert changes(own) == []

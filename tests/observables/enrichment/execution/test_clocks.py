"""A worker whose clock is wrong: quotas and pauses follow the database's time."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import sqlalchemy as sa

from services.observables.providers.base import RateLimit
from shared.clock import DatabaseClock
from shared.database import PLATFORM, Database
from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import ReceivedCall, Reply

ADDRESSES = [f"45.33.32.{number}" for number in range(1, 9)]
_process_time = time.time


def shift_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the process's clock be wrong by some seconds."""
    monkeypatch.setattr(time, "time", lambda: _process_time() + seconds)


@pytest.mark.parametrize("skew", [-300.0, 300.0])
def test_a_pause_that_a_provider_asked_for_lasts_by_the_databases_time(
    world: World, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    def refuse(_: ReceivedCall) -> Reply:
        return Reply(429, headers={"Retry-After": "120"})

    world.enricher()
    world.providers.replies["probe"] = refuse
    world.ask(*ADDRESSES)
    shift_clock(monkeypatch, skew)
    world.run_worker(3.0)
    (blocked,) = blocked_seconds(world.own)
    assert 100 < blocked <= 121
    # Another worker, whose clock is right, asks no more than the first one.
    shift_clock(monkeypatch, 0.0)
    world.run_worker(3.0)
    assert len(world.providers.queries_of("probe")) == 1


def test_a_date_in_retry_after_is_on_the_providers_clock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's clock is an hour ahead of the database's: its pause is two minutes still."""

    def refuse(_: ReceivedCall) -> Reply:
        own = datetime.now(UTC) + timedelta(hours=1)
        ends = own + timedelta(minutes=2)
        return Reply(
            429,
            headers={
                "Date": format_datetime(own, usegmt=True),
                "Retry-After": format_datetime(ends, usegmt=True),
            },
        )

    world.enricher()
    world.providers.replies["probe"] = refuse
    world.ask(*ADDRESSES)
    world.run_worker(3.0)
    (queue,) = blocked_seconds(world.own)
    assert 100 < queue <= 121


def blocked_seconds(own: Database) -> list[float]:
    """How long the queues are blocked from now on."""
    query = sa.text(
        "SELECT (limiter->>'blocked_until')::float8 - extract(epoch FROM clock_timestamp())::float8"
        " FROM enrichment_queue"
    )
    with own.transaction(PLATFORM) as session:
        return [float(seconds) for seconds in session.scalars(query)]


def test_a_wrong_clock_does_not_fill_a_bucket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A bucket of two calls, and one more in half a minute.
    world.enricher(rate=RateLimit(20, 600))
    world.ask(*ADDRESSES)
    shift_clock(monkeypatch, -300.0)
    world.run_worker(3.0)
    assert 1 <= len(world.providers.queries_of("probe")) <= 2
    # For a worker whose clock is right, five minutes would have passed since then.
    shift_clock(monkeypatch, 0.0)
    world.run_worker(3.0)
    assert len(world.providers.queries_of("probe")) <= 2


def test_the_clock_is_the_databases_once_it_was_set(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift_clock(monkeypatch, 300.0)
    clock = DatabaseClock()
    assert abs(clock.time() - _process_time()) > 200
    with own.transaction(PLATFORM) as session:
        clock.set(session)
    assert abs(clock.time() - _process_time()) < 10

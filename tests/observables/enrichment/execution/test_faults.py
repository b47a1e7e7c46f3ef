"""Faults: slow writers, lost workers, keys that go away, enrichers that break."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.enrichers.service import SettingChange, change_settings
from services.observables.enrichment.execution import worker
from services.observables.enrichment.execution.claims import QueueCapacity, claim_jobs
from services.observables.enrichment.queues.estimates import estimate
from services.observables.enrichment.queues.models import (
    INTERACTIVE,
    QUEUE,
    JobEnd,
    ProviderQueue,
)
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.provider_queues import LEASE_SECONDS
from services.observables.enrichment.queues.wakeup import wake_if_due
from services.observables.enrichment.rate_limiter import RateLimiter
from services.observables.enrichment.requests import service as requests
from services.observables.enrichment.requests.service import EnrichmentRequest
from services.observables.enrichment.settings.service import accesses_of
from services.observables.providers.base import Finding, InvalidAnswer, Query, RateLimit
from services.observables.store import new_observables
from services.observables.store.repository import write
from shared.database import PLATFORM, PUBLIC, Database
from shared.stix import Observable, ObservableType, bucket
from tests.observables.enrichment.conftest import World, identity
from tests.observables.enrichment.provider import Reply

ADDRESS = "45.33.32.156"
MANY = [f"45.33.{number // 250}.{number % 250 + 1}" for number in range(400)]


@contextmanager
def locked(own: Database, *values: str) -> Iterator[None]:
    """Another writer holds the buckets of these values for as long as the block."""
    with own.transaction(PLATFORM) as session:
        write.lock(session, {bucket(identity(value)) for value in values})
        yield


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def set_key(world: World, key: dict[str, str] | None, **values: Any) -> None:
    change = SettingChange(values, key)
    change_settings(world.own, world.settings, "acme", "tests", "probe", change)


def lose_worker(world: World, holder: UUID) -> None:
    """Let a worker lease the queue and claim its job, and then be silent until its lease ends."""
    with world.own.transaction(PLATFORM) as session:
        (queue,) = provider_queues.lease(session, holder, ["probe"], 2)
        assert len(jobs.claim(session, holder, queue.id, 1, 1)) == 1
        session.execute(sa.update(QUEUE).values(lease_until=sa.func.now()))


def test_a_query_whose_answer_waits_to_be_stored_is_not_sent_again(world: World) -> None:
    world.enricher()
    world.know(ADDRESS)
    world.ask(ADDRESS)
    with locked(world.own, ADDRESS):
        working = in_background(lambda: world.run_worker(6))
        time.sleep(3)
    working.join()
    assert world.providers.queries_of("probe") == [ADDRESS]
    assert world.states() == {"done": 1}


def test_a_call_that_outlasts_its_worker_is_not_made_twice(world: World) -> None:
    world.enricher(timeout=20.0)
    world.providers.replies["probe"] = lambda _: Reply(delay=7.0)
    world.ask(ADDRESS)
    world.run_worker(1)
    assert world.providers.queries_of("probe") == [ADDRESS]
    assert world.states() == {"done": 1}


def test_a_refusal_outlives_the_worker_that_received_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enricher()
    slow, refused = MANY[:2]
    replies = {slow: Reply(delay=3.0), refused: Reply(429, b"", {"Retry-After": "60"})}
    world.providers.replies["probe"] = lambda call: replies.get(
        call.path.rpartition("/")[2], Reply()
    )
    world.ask(ADDRESS)
    world.run_worker(1)
    world.ask(slow, refused)

    def claim_until_refused(*arguments: Any) -> Any:
        is_stored = world.states() == {"done": 1, "running": 1, "waiting": 1}
        if is_stored and refused in world.providers.queries_of("probe"):
            raise SystemExit
        return claim_jobs(*arguments)

    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(worker, "claim_jobs", claim_until_refused)
        world.run_worker(5)
    assert world.states() == {"done": 1, "running": 1, "waiting": 1}
    time.sleep(LEASE_SECONDS)
    with world.own.transaction(PLATFORM) as session:
        (queue,) = provider_queues.lease(session, uuid4(), ["probe"], 1)
    assert queue.limiter.blocked_for == "quota"


def broken(error: Exception) -> Callable[[Any, Query, bytes], Finding | None]:
    def read(_self: Any, query: Query, _content: bytes) -> Finding | None:
        if query.value == ADDRESS:
            raise error
        return Finding({})

    return read


@pytest.mark.parametrize(
    "error",
    [
        KeyError("key"),
        TypeError("x"),
        InvalidAnswer("it says \0 and \ud800", retryable=False),
    ],
)
def test_an_answer_that_breaks_the_enricher_fails_its_job_alone(
    world: World, error: Exception
) -> None:
    world.enricher(read=broken(error))
    world.ask(ADDRESS, *MANY[:20])
    world.run_worker(4)
    assert world.states() == {"done": 20, "failed": 1}


def test_the_reason_of_a_failed_answer_is_stored_whatever_characters_it_has(
    world: World,
) -> None:
    world.enricher(read=broken(InvalidAnswer("it says \0 and \ud800")))
    world.ask(ADDRESS, *MANY[:20])
    world.run_worker(2)
    assert world.states() == {"done": 20, "waiting": 1}


@pytest.mark.parametrize("facts", [{"a\0b": 1}, {"a": object()}])
def test_an_answer_that_cannot_be_stored_fails_its_job_alone(
    world: World, facts: dict[str, Any]
) -> None:
    world.enricher("good")
    world.enricher("bad", read=lambda *_: Finding(facts))
    world.ask(*MANY[:20])
    # Rendering the tracebacks, with the values of all variables, would outlast the leases.
    with capture_logs() as logs:
        with suppress(Exception):
            world.run_worker(4)
        world.run_worker(4)
    assert world.states() == {"done": 20, "failed": 20}
    assert "outcomes.store_failed" in {entry["event"] for entry in logs}


def test_no_query_is_sent_without_its_key(world: World) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "x"})
    world.ask(ADDRESS)
    set_key(world, {})
    world.run_worker(2)
    assert world.providers.calls == []


def test_a_job_of_a_lost_worker_uses_the_key_that_was_set_meanwhile(
    world: World,
) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "old"})
    world.ask(ADDRESS)
    # A worker takes it, the key is changed, the worker is lost.
    lose_worker(world, uuid4())
    set_key(world, {"key": "new"})
    world.run_worker(3)
    (call,) = world.providers.calls
    assert "new" in call.headers


def test_no_query_is_sent_once_the_enricher_is_switched_off(world: World) -> None:
    world.enricher()
    world.ask(ADDRESS)
    set_key(world, None, enabled=False)
    world.run_worker(2)
    assert world.providers.calls == []


def test_a_larger_budget_counts_at_once(world: World) -> None:
    world.enricher(daily=5, key_fields=("key",))
    set_key(world, {"key": "x"})
    world.ask(*MANY[:10])
    world.run_worker(3)
    assert world.states() == {"done": 5, "waiting": 5}
    set_key(world, None, daily=1000)
    world.run_worker(3)
    assert world.states() == {"done": 10}


def lease(world: World) -> tuple[UUID, ProviderQueue]:
    """The queue of the only enricher, and a worker that leases it."""
    with world.own.transaction(PLATFORM) as session:
        holder = uuid4()
        (queue,) = provider_queues.lease(session, holder, ["probe"], 2)
        return holder, queue


def test_jobs_that_move_while_they_are_claimed_do_no_harm(world: World) -> None:
    enricher = world.enricher()
    world.ask(*MANY[:10])
    holder, queue = lease(world)
    with world.own.transaction("acme") as session:
        limits = accesses_of(session, "acme")["probe"].limits
    capacities = {queue.id: QueueCapacity(enricher, limits, RateLimiter(proven=True), 10, 10)}
    raised: list[BaseException] = []
    claims: list[Any] = []

    def claim() -> None:
        try:
            claims.append(claim_jobs(world.own, holder, capacities))
        except BaseException as error:  # noqa: BLE001  # it is what the test looks at
            raised.append(error)

    with world.own.transaction(PLATFORM) as session:
        jobs.move(session, None, "probe", queue.id, uuid4())
        thread = in_background(claim)
        time.sleep(1)
    thread.join()
    assert raised == []
    assert claims[0].calls == {}


def test_a_worker_does_not_take_its_own_queue_over(world: World) -> None:
    world.enricher()
    world.ask(ADDRESS)
    holder = uuid4()
    lose_worker(world, holder)
    time.sleep(0.1)
    with world.own.transaction(PLATFORM) as session:
        assert provider_queues.lease(session, holder, ["probe"], 2) == []
    assert world.states() == {"running": 1}


def test_the_queue_with_an_interactive_job_is_leased_first(world: World) -> None:
    for number in range(8):
        world.enricher(f"slow_{number}")
    world.ask(ADDRESS, names=["slow_5"], priority=INTERACTIVE)
    with psycopg.connect(world.settings.database_url.get_secret_value(), autocommit=True) as admin:
        # PostgreSQL plans for one queue, as it does when its statistics are of a quiet day.
        admin.execute("ANALYZE observables.enrichment_queue")
    world.ask(*MANY[:5])
    with world.own.transaction(PLATFORM) as session:
        queues = provider_queues.lease(session, uuid4(), sorted(world.enrichers), 1)
    assert [queue.enricher for queue in queues] == ["slow_5"]


def test_an_estimate_includes_the_jobs_of_other_tenants(world: World) -> None:
    world.enricher(rate=RateLimit(60, 60))
    world.ask(*MANY[:100])
    alone = last_estimate(world)
    for tenant in ("rival", "other"):
        world.ask(*MANY[:100], tenant=tenant)
    assert last_estimate(world) > 2 * alone


def last_estimate(world: World) -> float:
    """Estimated seconds until the last of the tenant's jobs finishes."""
    with world.own.transaction("acme") as session:
        waiting = jobs.page(session, "acme", "waiting", None, None, 1000)
        estimates = estimate(session, "acme", waiting)
    return (max(estimates.values()) - datetime.now(UTC)).total_seconds()


def test_many_observables_can_be_looked_up_at_once(world: World) -> None:
    ids = [str(UUID(int=number)) for number in range(70_000)]
    with world.own.transaction("acme") as session:
        assert jobs.open_jobs(session, "acme", ids) == {}


def test_an_observable_that_a_feed_asserts_after_an_answer_has_no_depth(world: World) -> None:
    observables = {identity(ADDRESS): Observable(ObservableType.IPV4, ADDRESS)}
    with world.own.transaction("acme") as session:
        new_observables.put(session, "acme", observables, datetime.now(UTC), depth=1)
    world.know(ADDRESS)
    with world.own.transaction("acme") as session:
        states = answers.disclosure_states(session, "acme", list(observables))
    assert states[identity(ADDRESS)].depth == 0


def test_the_marking_of_a_request_holds_for_an_open_job(
    world: World,
) -> None:
    world.enricher(max_tlp="amber")
    world.know(ADDRESS, tlp="green")
    world.ask(ADDRESS)
    observable = Observable(ObservableType.IPV4, ADDRESS)
    request = EnrichmentRequest([observable], tlp="amber")
    requests.create(world.own, "acme", "anna", request)
    world.run_worker(3)
    assert world.states() == {"done": 1}
    with world.own.transaction("rival") as session:
        assert answers.raw(session, PUBLIC, identity(ADDRESS), "probe") is None


def test_a_queue_without_budget_for_background_work_is_released(world: World) -> None:
    world.enricher(rate=RateLimit(1000, 60), daily=50)
    world.ask(*MANY[:100])
    assert world.run_worker(5).more is False


def test_a_job_whose_enricher_is_not_installed_ends(world: World) -> None:
    world.enricher("gone")
    world.ask(ADDRESS)
    world.enrichers.pop("gone")
    world.enricher("other")
    world.run_worker(1)
    (job,) = world.jobs()
    assert job.state != "waiting"


def test_a_running_job_that_a_person_requests_goes_first_when_it_waits_again(
    world: World,
) -> None:
    world.enricher()
    world.know(ADDRESS)
    world.ask(ADDRESS)
    holder, queue = lease(world)
    with world.own.transaction(PLATFORM) as session:
        (claimed,) = jobs.claim(session, holder, queue.id, 1, 1)
    request = EnrichmentRequest([Observable(ObservableType.IPV4, ADDRESS)])
    requests.create(world.own, "acme", "anna", request)
    with world.own.transaction(PLATFORM) as session:
        jobs.end(session, holder, [JobEnd(claimed.id, "waiting")])
    (job,) = world.jobs()
    assert (job.state, job.priority) == ("waiting", INTERACTIVE)


def test_a_key_that_no_header_allows_ends_the_job(world: World) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "pasted with a space "})
    world.ask(ADDRESS, priority=INTERACTIVE)
    world.run_worker(2)
    (job,) = world.jobs()
    assert job.state in {"done", "failed"}


def test_a_full_broker_refuses_no_request(world: World, full_broker: redis.Redis) -> None:
    world.enricher()
    request = EnrichmentRequest([Observable(ObservableType.IPV4, ADDRESS)])
    requests.create(world.own, "acme", "anna", request)
    assert wake_if_due(world.own) == 1, "the row waits"
    assert world.states() == {"waiting": 1}
    world.run_worker(3)
    assert world.states() == {"done": 1}

"""What can go wrong between two lines: slow writers, workers that are lost, keys that go away, enrichers that break."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.enrichers import service as settings
from services.observables.enrichment.enrichers.service import Change
from services.observables.enrichment.execution import worker
from services.observables.enrichment.execution.claims import Ask, take
from services.observables.enrichment.execution.worker import LEASE
from services.observables.enrichment.policies import triggers
from services.observables.enrichment.queues.estimates import estimates
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import INTERACTIVE, Ended
from services.observables.enrichment.rate_limiter import RateLimiter
from services.observables.enrichment.requests import service as requests
from services.observables.enrichment.requests.service import Question
from services.observables.providers.base import Finding, InvalidAnswer, Query, RateLimit
from services.observables.store import repository, upsert
from shared.database import PLATFORM, PUBLIC, Database
from shared.stix import Observable, ObservableType, bucket
from tests.observables.enrichment.conftest import World, identity
from tests.observables.enrichment.provider import Reply

ADDRESS = "45.33.32.156"
MANY = [f"45.33.{one // 250}.{one % 250 + 1}" for one in range(400)]


@contextmanager
def written_to(own: Database, *values: str) -> Iterator[None]:
    """Somebody else writes about these values, and takes as long as the block."""
    with own.transaction(PLATFORM) as session:
        repository.lock(session, {bucket(identity(one)) for one in values})
        yield


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def set_key(world: World, key: dict[str, str] | None, **values: Any) -> None:
    settings.change(world.own, world.settings, "acme", "tests", "probe", Change(values, key))


def test_an_answer_that_waits_to_be_written_down_is_not_asked_for_again(world: World) -> None:
    world.enricher()
    world.know(ADDRESS)
    world.ask(ADDRESS)
    with written_to(world.own, ADDRESS):
        working = in_background(lambda: world.shift(6))
        time.sleep(3)
    working.join()
    assert world.providers.asked("probe") == [ADDRESS]
    assert world.states() == {"done": 1}


def test_a_call_that_outlasts_the_shift_is_not_made_twice(world: World) -> None:
    world.enricher(timeout=20.0)
    world.providers.answering["probe"] = lambda _: Reply(delay=7.0)
    world.ask(ADDRESS)
    world.shift(1)
    assert world.providers.asked("probe") == [ADDRESS]
    assert world.states() == {"done": 1}


def test_a_refusal_outlives_the_worker_that_heard_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enricher()
    slow, refused = MANY[:2]
    replies = {slow: Reply(delay=3.0), refused: Reply(429, b"", {"Retry-After": "60"})}
    world.providers.answering["probe"] = lambda called: replies.get(
        called.path.rpartition("/")[2], Reply()
    )
    world.ask(ADDRESS)
    world.shift(1)
    world.ask(slow, refused)

    def until_it_is_heard(*arguments: Any) -> Any:
        if world.states() == {
            "done": 1,
            "running": 1,
            "waiting": 1,
        } and refused in world.providers.asked("probe"):
            raise SystemExit
        return take(*arguments)

    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(worker, "take", until_it_is_heard)
        world.shift(5)
    assert world.states() == {"done": 1, "running": 1, "waiting": 1}
    time.sleep(LEASE)
    with world.own.transaction(PLATFORM) as session:
        (lane,) = provider_queues.acquire(session, uuid4(), ["probe"], 1, LEASE)
    assert lane.limiter.blocked_for == "quota"


def broken(error: Exception) -> Callable[[Any, Query, bytes], Finding | None]:
    def read(_self: Any, asked: Query, _content: bytes) -> Finding | None:
        if asked.value == ADDRESS:
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
def test_an_answer_that_an_enricher_does_not_survive_fails_its_question_alone(
    world: World, error: Exception
) -> None:
    world.enricher(read=broken(error))
    world.ask(ADDRESS, *MANY[:20])
    world.shift(4)
    assert world.states() == {"done": 20, "failed": 1}


def test_what_a_failed_answer_says_is_kept_until_the_next_try_whatever_characters_it_has(
    world: World,
) -> None:
    world.enricher(read=broken(InvalidAnswer("it says \0 and \ud800")))
    world.ask(ADDRESS, *MANY[:20])
    world.shift(2)
    assert world.states() == {"done": 20, "waiting": 1}


@pytest.mark.parametrize("facts", [{"a\0b": 1}, {"a": object()}])
def test_an_answer_that_cannot_be_stored_fails_its_question_alone(
    world: World, facts: dict[str, Any]
) -> None:
    world.enricher("good")
    world.enricher("bad", read=lambda *_: Finding(facts))
    world.ask(*MANY[:20])
    with suppress(Exception):
        world.shift(4)
    world.shift(4)
    assert world.states() == {"done": 20, "failed": 20}


def test_a_question_is_not_asked_without_its_key(world: World) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "x"})
    world.ask(ADDRESS)
    set_key(world, {})
    world.shift(2)
    assert world.providers.calls == []


def test_a_question_that_comes_back_after_its_key_was_changed_is_asked_with_the_new_one(
    world: World,
) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "old"})
    world.ask(ADDRESS)
    # A worker takes it, the key is changed, the worker is lost.
    with world.own.transaction(PLATFORM) as session:
        me = uuid4()
        (lane,) = provider_queues.acquire(session, me, ["probe"], 2, 0.0)
        assert len(jobs.take(session, me, lane.id, 1, 1)) == 1
    set_key(world, {"key": "new"})
    world.shift(3)
    (called,) = world.providers.calls
    assert "new" in called.headers


def test_what_is_switched_off_is_not_asked(world: World) -> None:
    world.enricher()
    world.ask(ADDRESS)
    set_key(world, None, enabled=False)
    world.shift(2)
    assert world.providers.calls == []


def test_a_larger_budget_counts_at_once(world: World) -> None:
    world.enricher(daily=5, key_fields=("key",))
    set_key(world, {"key": "x"})
    world.ask(*MANY[:10])
    world.shift(3)
    assert world.states() == {"done": 5, "waiting": 5}
    set_key(world, None, daily=1000)
    world.shift(3)
    assert world.states() == {"done": 10}


def held(world: World) -> tuple[UUID, provider_queues.ProviderQueue]:
    with world.own.transaction(PLATFORM) as session:
        me = uuid4()
        (lane,) = provider_queues.acquire(session, me, ["probe"], 2, 5.0)
        return me, lane


def test_questions_that_move_while_they_are_taken_harm_nobody(world: World) -> None:
    enricher = world.enricher()
    world.ask(*MANY[:10])
    me, lane = held(world)
    with world.own.transaction("acme") as session:
        way = triggers.accesses_of(session, "acme")["probe"]
    asks = {lane.id: Ask(enricher, way.plan, RateLimiter(proven=True), 10, 10)}
    raised: list[BaseException] = []
    taken: list[Any] = []

    def taking() -> None:
        try:
            taken.append(take(world.own, me, asks, 5.0))
        except BaseException as error:  # noqa: BLE001  # it is what the test looks at
            raised.append(error)

    with world.own.transaction(PLATFORM) as session:
        jobs.move(session, None, "probe", lane.id, uuid4())
        thread = in_background(taking)
        time.sleep(1)
    thread.join()
    assert raised == []
    assert taken[0].calls == {}


def test_a_worker_does_not_take_its_own_lane_over(world: World) -> None:
    world.enricher()
    world.ask(ADDRESS)
    with world.own.transaction(PLATFORM) as session:
        me = uuid4()
        (lane,) = provider_queues.acquire(session, me, ["probe"], 2, 0.0)
        assert len(jobs.take(session, me, lane.id, 1, 1)) == 1
    time.sleep(0.1)
    with world.own.transaction(PLATFORM) as session:
        assert provider_queues.acquire(session, me, ["probe"], 2, 5.0) == []
    assert world.states() == {"running": 1}


def test_the_lane_that_somebody_waits_for_is_taken_first(world: World) -> None:
    for number in range(8):
        world.enricher(f"slow_{number}")
    world.ask(ADDRESS, names=["slow_5"], priority=INTERACTIVE)
    with psycopg.connect(world.settings.database_url.get_secret_value(), autocommit=True) as admin:
        # PostgreSQL plans for one lane, as it does when it last counted on a quiet day.
        admin.execute("ANALYZE observables.enrichment_lane")
    world.ask(*MANY[:5])
    with world.own.transaction(PLATFORM) as session:
        found = provider_queues.acquire(session, uuid4(), sorted(world.enrichers), 1, 5.0)
    assert [one.enricher for one in found] == ["slow_5"]


def test_an_estimate_reckons_with_the_other_tenants_of_a_lane(world: World) -> None:
    world.enricher(rate=RateLimit(60, 60))
    world.ask(*MANY[:100])
    alone = last_estimate(world)
    for tenant in ("rival", "other"):
        world.ask(*MANY[:100], tenant=tenant)
    assert last_estimate(world) > 2 * alone


def last_estimate(world: World) -> float:
    """Seconds until the last of the tenant's questions is answered, as it is told."""
    with world.own.transaction("acme") as session:
        told = estimates(session, "acme", jobs.page(session, "acme", "waiting", None, None, 1000))
    return (max(told.values()) - datetime.now(UTC)).total_seconds()


def test_many_observables_can_be_looked_up_at_once(world: World) -> None:
    ids = [str(UUID(int=one)) for one in range(70_000)]
    with world.own.transaction("acme") as session:
        assert jobs.open_pairs(session, "acme", ids) == {}


def test_what_a_feed_asserts_after_an_answer_named_it_is_a_sources_word(world: World) -> None:
    found = {identity(ADDRESS): Observable(ObservableType.IPV4, ADDRESS)}
    with world.own.transaction("acme") as session:
        upsert.put(session, "acme", found, datetime.now(UTC), depth=1)
    world.know(ADDRESS)
    with world.own.transaction("acme") as session:
        assert answers.standing(session, "acme", list(found))[identity(ADDRESS)].depth == 0


def test_a_marking_that_a_person_gives_holds_for_a_question_that_waits_already(
    world: World,
) -> None:
    world.enricher(max_tlp="amber")
    world.know(ADDRESS, tlp="green")
    world.ask(ADDRESS)
    requests.ask(
        world.own, "acme", "anna", Question([Observable(ObservableType.IPV4, ADDRESS)], tlp="amber")
    )
    world.shift(3)
    assert world.states() == {"done": 1}
    with world.own.transaction("rival") as session:
        assert answers.raw(session, PUBLIC, identity(ADDRESS), "probe") is None


def test_a_lane_without_budget_for_automatic_work_is_let_go(world: World) -> None:
    world.enricher(rate=RateLimit(1000, 60), daily=50)
    world.ask(*MANY[:100])
    assert world.shift(5).more is False


def test_a_question_whose_enricher_is_gone_is_told_so(world: World) -> None:
    world.enricher("gone")
    world.ask(ADDRESS)
    world.enrichers.pop("gone")
    world.enricher("other")
    world.shift(1)
    (job,) = world.jobs()
    assert job.state != "waiting"


def test_somebody_who_waits_for_a_question_under_way_goes_first_when_it_comes_back(
    world: World,
) -> None:
    world.enricher()
    world.know(ADDRESS)
    world.ask(ADDRESS)
    me, lane = held(world)
    with world.own.transaction(PLATFORM) as session:
        (taken,) = jobs.take(session, me, lane.id, 1, 1)
    requests.ask(world.own, "acme", "anna", Question([Observable(ObservableType.IPV4, ADDRESS)]))
    with world.own.transaction(PLATFORM) as session:
        jobs.end(session, me, [Ended(taken.id, "waiting")])
    (job,) = world.jobs()
    assert (job.state, job.priority) == ("waiting", INTERACTIVE)


def test_a_key_that_no_header_takes_is_told_to_whoever_waits(world: World) -> None:
    world.enricher(key_fields=("key",))
    set_key(world, {"key": "pasted with a space "})
    world.ask(ADDRESS, priority=INTERACTIVE)
    world.shift(2)
    (job,) = world.jobs()
    assert job.state in {"done", "failed"}

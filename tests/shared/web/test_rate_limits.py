"""A token has a bucket, and tenants take turns at the slots of requests."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shared.auth import Principal, Role, TokenFacts
from shared.database import Database
from shared.errors import RateExceeded, Unavailable
from shared.runtime.process import load_service_app
from shared.settings import Settings
from shared.web import rate_limits
from shared.web.rate_limits import (
    BURST_SECONDS,
    HEAVY_COST,
    READ_COST,
    WRITE_COST,
    RequestGate,
    TokenBuckets,
    cost_of,
)


def principal(name: str = "a", tenant: str = "acme") -> Principal:
    return Principal("kim", tenant, Role.analyst, TokenFacts(name, 0.0, 1e12))


def drain(buckets: TokenBuckets, owner: Principal, cost: int = 1) -> tuple[int, RateExceeded]:
    """How many requests pass before one is refused, and its error."""
    for number in range(100_000):
        try:
            buckets.take(owner, cost)
        except RateExceeded as error:
            return number, error
    raise AssertionError("nothing is refused")


def test_a_token_has_a_bucket_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    buckets = TokenBuckets(10)
    passed, error = drain(buckets, principal())
    assert passed == 10 * BURST_SECONDS
    assert (error.status, error.retry_after) == (429, 1.0)
    assert error.details == {"limit": 10, "cost": 1, "seconds": 0.1}
    assert drain(buckets, principal("b"))[0] == passed, "another token has its own"
    now += 2
    assert drain(buckets, principal())[0] == 20
    now += 1000
    assert drain(buckets, principal(), HEAVY_COST)[0] == passed // HEAVY_COST


def test_nothing_is_refused_without_a_rate() -> None:
    buckets = TokenBuckets(0)
    for _ in range(10_000):
        buckets.take(principal(), HEAVY_COST)


def test_buckets_that_are_full_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(rate_limits, "_MAX_BUCKETS", 10)
    buckets = TokenBuckets(10)
    for number in range(100):
        now += 1
        buckets.take(principal(str(number)), 1)
    assert len(buckets._levels) <= 10


def test_costs_are_by_class() -> None:
    assert cost_of("GET", "/v1/feeds") == READ_COST
    assert cost_of("PATCH", "/v1/feeds/{feed_id}") == WRITE_COST
    assert cost_of("POST", "/v1/ingest") == HEAVY_COST


def test_a_slot_is_there_for_who_comes_later() -> None:
    async def run() -> None:
        gate = RequestGate(12)
        release = asyncio.Event()
        started: list[str] = []

        async def request(tenant: str) -> None:
            async with gate.slot(tenant):
                started.append(tenant)
                await release.wait()

        hostile = [asyncio.create_task(request("evil")) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert started == ["evil"] * 6
        victim = asyncio.create_task(request("acme"))
        await asyncio.sleep(0.01)
        assert started.count("acme") == 1
        release.set()
        await asyncio.gather(victim, *hostile)
        assert len(started) == 51
        assert not gate._running
        assert not gate._waiting

    asyncio.run(run())


def test_a_request_that_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_WAIT_SECONDS", 0.05)

    async def run() -> None:
        gate = RequestGate(2)
        async with gate.slot("evil"):
            with pytest.raises(Unavailable):
                async with gate.slot("evil"):
                    raise AssertionError("it has one of two")
            async with gate.slot("acme"):
                pass
        async with gate.slot("evil"):
            pass
        assert not gate._running

    asyncio.run(run())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_slots_come_back_whatever_is_cancelled(requests: list[tuple[str, bool]]) -> None:
    async def run() -> None:
        gate = RequestGate(3)

        async def request(tenant: str) -> None:
            async with gate.slot(tenant) as slot:
                await asyncio.sleep(0)
                slot.release()
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(request(tenant)) for tenant, _ in requests]
        await asyncio.sleep(0)
        for task, (_, is_cancelled) in zip(tasks, requests, strict=True):
            if is_cancelled:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not gate._running

    asyncio.run(run())


def test_a_slot_that_is_granted_when_the_time_is_over_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limits, "_WAIT_SECONDS", 0.05)

    async def run() -> None:
        gate = RequestGate(1)
        served = []

        async def wait() -> None:
            async with gate.slot("acme"):
                served.append("acme")

        async with gate.slot("acme") as first:
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            # The loop is late: the deadline has passed when this task goes on, and its callback
            # comes behind it in the same turn.
            time.sleep(0.1)  # noqa: ASYNC251
            await asyncio.sleep(0)
            first.release()
            await waiting
        assert served == ["acme"]
        assert not gate._running

    asyncio.run(run())


def test_an_api_answers_429_with_the_time(
    environment: Settings, make_token: Callable[..., str]
) -> None:
    settings = environment.model_copy(update={"api_rate": 2.0})
    own = Database(environment.database_url.get_secret_value(), "feeds")
    headers = {"Authorization": f"Bearer {make_token()}"}
    with TestClient(load_service_app("feeds", settings, own), headers=headers) as client:
        answers = [client.get("/v1/feeds") for _ in range(15)]
        assert client.get("/healthz").status_code == 200
    own.close()
    assert answers[0].status_code == 200
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["type"] == "urn:sentineliq:problem:rate-exceeded"
    assert refused.json()["limit"] == 2

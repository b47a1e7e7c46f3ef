"""Turns by tenant: nobody waits behind another tenant's backlog, and nobody takes all slots."""

import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.turns import TurnGate, TurnOrder

TENANTS = st.sampled_from(["acme", "beta", "gamma", "public"])


def test_the_tenant_with_the_fewest_slots_goes_first() -> None:
    turns = TurnOrder()
    chosen = turns.choose(["acme", "beta"], {"acme": 5}, free=90, limit=4)
    assert chosen == ["beta"] * 4


def test_equals_take_turns() -> None:
    turns = TurnOrder()
    single = [turns.choose(["acme", "beta"], {}, free=1, limit=1, most=1)[0] for _ in range(6)]
    assert Counter(single) == {"acme": 3, "beta": 3}
    assert single[:2] in (["acme", "beta"], ["beta", "acme"])


def test_a_tenant_alone_leaves_half_of_the_slots() -> None:
    chosen = TurnOrder().choose(["acme"], {}, free=200, limit=200)
    assert len(chosen) == 100


def test_who_comes_later_finds_a_slot() -> None:
    turns = TurnOrder()
    running: Counter[str] = Counter()
    for number in range(7):
        tenant = f"hostile-{number}"
        running.update(turns.choose([tenant], running, free=200 - running.total(), limit=200))
    assert running.total() < 200
    assert turns.choose(["acme"], running, free=200 - running.total(), limit=1) == ["acme"]


@given(
    st.sets(TENANTS),
    st.dictionaries(TENANTS, st.integers(0, 20)),
    st.integers(0, 40),
    st.integers(0, 20),
    st.none() | st.integers(1, 5),
)
def test_limits_hold(
    waiting: set[str], running: dict[str, int], free: int, limit: int, most: int | None
) -> None:
    chosen = TurnOrder().choose(waiting, running, free=free, limit=limit, most=most)
    assert set(chosen) <= waiting
    assert len(chosen) <= min(free, limit)
    for tenant, slots in Counter(chosen).items():
        bound = free if most is None else most
        assert running.get(tenant, 0) + slots <= bound
        # Of those that could have more, nobody is far ahead.
        for other in waiting - {tenant}:
            has = running.get(other, 0) + Counter(chosen)[other]
            assert running.get(tenant, 0) + slots <= has + 1


def hold(gate: TurnGate, tenant: str, started: list[str], release: threading.Event) -> None:
    assert gate.acquire(tenant, 10)
    started.append(tenant)
    assert release.wait(10)
    gate.release(tenant)


def test_a_tenant_alone_has_all_slots_and_leaves_one_when_it_is_not() -> None:
    gate = TurnGate(2)
    assert gate.acquire("evil", 0)
    assert gate.acquire("evil", 0)
    assert not gate.acquire("acme", 0.01), "all are taken"
    gate.release("evil")
    assert not gate.acquire("evil", 0.01), "the last one is for others"
    assert gate.acquire("acme", 0)
    gate.release("acme")
    gate.release("evil")


def test_threads_of_a_tenant_with_a_backlog_wait_behind_another_s() -> None:
    gate = TurnGate(2)
    assert gate.acquire("acme", 0)
    gate.release("acme")
    release = threading.Event()
    started: list[str] = []
    threads = [
        threading.Thread(target=hold, args=(gate, "evil", started, release)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while not started:
        time.sleep(0.005)
    began = time.monotonic()
    assert gate.acquire("acme", 5)
    assert time.monotonic() - began < 1
    assert started == ["evil"]
    gate.release("acme")
    release.set()
    for thread in threads:
        thread.join(10)
    assert len(started) == 8


class TimeIsOver(Exception):
    """As Celery's soft time limit: a signal's handler raises it wherever the thread is."""


@pytest.mark.parametrize("is_granted", [False, True])
def test_a_slot_is_not_lost_with_who_waited_for_it(
    is_granted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = TurnGate(1)
    assert gate.acquire("acme", 1)

    def interrupt(_predicate: object, _seconds: float) -> bool:
        if is_granted:
            gate._give_back("acme")
        raise TimeIsOver

    with monkeypatch.context() as patch:
        patch.setattr(gate._changed, "wait_for", interrupt)
        with pytest.raises(TimeIsOver):
            gate.acquire("beta", 5)
    if not is_granted:
        gate.release("acme")
    assert gate._running.total() == 0
    assert not gate._waiting
    assert gate.acquire("gamma", 1)

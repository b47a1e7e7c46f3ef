"""Tenants take turns: receivers that hang delay the alerts of their own tenant."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.notifications.deliveries import dispatcher
from services.notifications.deliveries.dispatcher import DeliveryDispatcher
from shared.events.observables import Change
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Answer, Received, Receiver, receiving

CHANNELS = 20
RULES = 15


class Hanging(Receiver):
    """Answers nothing until it is released."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.release = threading.Event()
        self.now = 0
        self.most = 0
        self._counting = threading.Lock()

    def take(self, received: Received) -> Answer:
        self.received.append(received)
        with self._counting:
            self.now += 1
            self.most = max(self.most, self.now)
        self.release.wait(30)
        with self._counting:
            self.now -= 1
        return Answer()


@contextmanager
def hanging() -> Iterator[Hanging]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.notifications.receiver.Receiver", Hanging)
        with receiving() as receiver:
            assert isinstance(receiver, Hanging)
            try:
                yield receiver
            finally:
                receiver.release.set()


@contextmanager
def dispatching(bench: Bench, seconds: float = 20.0) -> Iterator[DeliveryDispatcher]:
    """A dispatcher at work in a thread."""
    running = DeliveryDispatcher(bench.own, bench.settings, seconds=seconds)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        thread.join(60)
        assert not thread.is_alive()


def hang(bench: Bench, *receivers: Hanging, tenant: str = "evil", rules: int = RULES) -> None:
    """An analyst's channels that never answer, and a rule each that alerts to them all."""
    api = bench.client_for("notifications", tenant=tenant, role="analyst")
    channels = [
        bench.channel(f"{receivers[n % len(receivers)].url}/{n}", api=api) for n in range(CHANNELS)
    ]
    feed = f"feed-of-{tenant}"
    for _ in range(rules):
        bench.rule(*channels, api=api, sources=[feed])
    bench.handle(bench.event(feed, tenant=tenant))


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def test_hanging_receivers_do_not_delay_another_tenant(
    bench: Bench, receiver: Receiver, make_change: Callable[..., Change]
) -> None:
    """Twenty hanging channels took all slots: an alert of a neighbour waited for 85 seconds."""
    _, _, feed = bench.hook(receiver)
    with hanging() as first, hanging() as second, hanging() as third:
        hang(bench, first, second, third)
        with dispatching(bench):
            wait_until(lambda: first.now + second.now + third.now >= 50)
            time.sleep(1)
            started = time.monotonic()
            for number in range(5):
                bench.handle(bench.event(feed, make_change(value=f"v-{number}")))
                receiver.wait_for(number + 1, 5)
            assert time.monotonic() - started < 5
            assert first.now + second.now + third.now >= 40, "they hang all the while"
            for slow_receiver in (first, second, third):
                slow_receiver.release.set()


def test_a_destination_and_a_tenant_have_their_limits(bench: Bench) -> None:
    with hanging() as receiver:
        hang(bench, receiver, tenant="greedy")
        with dispatching(bench, 3.0):
            wait_until(lambda: receiver.now >= dispatcher._SLOTS_PER_DESTINATION)
            time.sleep(1)
            most = receiver.most
            receiver.release.set()
    # A batch is claimed at a time.
    assert most <= dispatcher._SLOTS_PER_DESTINATION + dispatcher._BATCH


def test_a_run_that_is_over_wakes_its_successor_before_its_last_attempts_end(bench: Bench) -> None:
    woken: list[float] = []
    with hanging() as receiver:
        hang(bench, receiver, tenant="late", rules=1)
        running = DeliveryDispatcher(
            bench.own, bench.settings, lambda: woken.append(time.monotonic()), 1.0
        )
        thread = threading.Thread(target=running.run)
        thread.start()
        wait_until(lambda: bool(woken))
        assert thread.is_alive()
        assert receiver.now > 0
        receiver.release.set()
        thread.join(30)
    assert len(woken) == 1
    assert running._counts.has_more

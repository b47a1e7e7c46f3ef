"""A worker that is awake delivers at once, without a message; one that has nothing to do sleeps."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.notifications.deliveries import dispatcher, wakeup
from services.notifications.deliveries.dispatcher import DeliveryDispatcher
from services.notifications.deliveries.wakeup import DELIVER_PENDING, Vigil
from shared.database import PLATFORM
from shared.runtime import hints
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver


@pytest.fixture(autouse=True)
def no_marks() -> Iterator[None]:
    hints.unmark(DELIVER_PENDING, ())
    yield
    hints.unmark(DELIVER_PENDING, ())


class Worker:
    """A dispatcher that stays awake, in a thread."""

    def __init__(self, bench: Bench, vigil: Vigil) -> None:
        self._dispatcher = DeliveryDispatcher(bench.own, bench.settings, vigil=vigil)
        self.thread = threading.Thread(target=self._dispatcher.run)
        self.thread.start()


@contextmanager
def awake(bench: Bench, vigil: Vigil | None = None) -> Iterator[Worker]:
    worker = Worker(bench, vigil or Vigil())
    try:
        yield worker
    finally:
        worker.thread.join(30)
        assert not worker.thread.is_alive()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def is_marked() -> bool:
    """Whether nobody would send a message now."""
    return not hints.mark(DELIVER_PENDING, ())


def test_what_is_stored_while_a_worker_is_awake_needs_no_message(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_POLL_SECONDS", 5.0)
    _, _, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    with awake(bench):
        receiver.wait_for(1)
        wait_until(is_marked)
        for number in range(2, 6):
            bench.handle(bench.event(feed))
            # Long before the next look by itself.
            receiver.wait_for(number, 3.0)


def test_a_worker_with_nothing_to_do_falls_asleep_and_messages_are_sent_again(
    bench: Bench, receiver: Receiver
) -> None:
    _, _, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    with awake(bench) as worker:
        receiver.wait_for(1)
        worker.thread.join(15)
        assert not worker.thread.is_alive()
    assert hints.mark(DELIVER_PENDING, ())


def test_a_second_worker_leaves_one_awake(bench: Bench, receiver: Receiver) -> None:
    _, _, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    with awake(bench) as first:
        receiver.wait_for(1)
        wait_until(is_marked)
        second = Worker(bench, Vigil())
        second.thread.join(2.0)
        assert not second.thread.is_alive()
        assert first.thread.is_alive()


def test_what_is_stored_at_the_end_of_a_vigil_is_seen_by_the_last_look(
    bench: Bench, receiver: Receiver
) -> None:
    """Its message was not sent, since the mark still stood."""
    _, _, feed = bench.hook(receiver)

    class Interrupted(Vigil):
        ends = 0

        def end(self) -> None:
            if self.ends == 0:
                assert is_marked()
                bench.handle(bench.event(feed))
            self.ends += 1
            super().end()

    vigil = Interrupted()
    bench.handle(bench.event(feed))
    with awake(bench, vigil):
        receiver.wait_for(2, 15)
    assert vigil.ends == 2


def test_a_frozen_worker_keeps_others_asleep_for_some_seconds_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "HOLD_SECONDS", 1)
    frozen = Vigil()
    assert frozen.keep()
    other = Vigil()
    assert not other.keep()
    wait_until(other.keep, 5.0)
    assert not frozen.keep()


def test_a_result_counts_only_for_the_worker_that_has_the_delivery(
    bench: Bench, receiver: Receiver
) -> None:
    """Two are accepted in one round, of which another worker has claimed one meanwhile."""
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed), bench.event(feed))
    running = DeliveryDispatcher(bench.own, bench.settings)
    with bench.own.transaction(PLATFORM) as session:
        first, second = running._claim(session, 2)
    bench.sql(
        "UPDATE delivery SET holder = gen_random_uuid() WHERE id = :id",
        id=first.claimed.delivery.id,
    )
    accepted = dispatcher.AttemptResult(status=204)
    running._results = [(first, accepted), (second, accepted)]
    running._record_and_claim(0)
    states = {item["id"]: item["state"] for item in bench.ledger(rule)}
    assert states[str(second.claimed.delivery.id)] == "delivered"
    assert states[str(first.claimed.delivery.id)] == "delivering"
    assert len(bench.events_about(str(second.claimed.delivery.id))) == 1
    assert bench.events_about(str(first.claimed.delivery.id)) == []

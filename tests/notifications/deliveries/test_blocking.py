"""The dispatcher's event loop sends all deliveries: no call on it may block."""

from collections.abc import Callable
from typing import Any

from shared.events.observables import Change
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver
from tests.shared.runtime.blocking_detector import blocking_calls


def test_the_dispatcher_does_not_block_its_loop(
    bench: Bench, receiver: Receiver, make_change: Callable[..., Change]
) -> None:
    _, _, feed = bench.hook(receiver)
    events: list[Any] = [bench.event(feed, make_change(value=f"v-{n}")) for n in range(5)]
    bench.handle(*events)
    with blocking_calls() as calls:
        assert bench.deliver().delivered == 5
    assert calls == []

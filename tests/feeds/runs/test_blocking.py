"""A run's event loop serves its download and its producer: no call on it may block."""

from tests.feeds.conftest import Desk, Provider
from tests.shared.runtime.blocking_detector import blocking_calls


def test_a_run_does_not_block_its_loop(desk: Desk, provider: tuple[str, type[Provider]]) -> None:
    url, handler = provider
    handler.body = b"".join(b"192.0.2.%d\n" % number for number in range(200))
    run = desk.fetch(desk.feed(url=url, format="text"))
    with blocking_calls() as calls:
        desk.work(run)
    assert len(desk.published(run)) > 0
    assert calls == []


def test_a_provider_that_asks_for_a_pause_does_not_either(
    desk: Desk, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.status = 503
    handler.extra = {"Retry-After": "60"}
    feed = desk.feed(url=url, format="text")
    run = desk.fetch(feed)
    with blocking_calls() as calls:
        desk.work(run)
    assert calls == []

"""Waiting runs after the broker lost everything: no Beat and no API takes part."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import redis
import sqlalchemy as sa
from starlette.testclient import TestClient

from shared.database import PLATFORM, database
from shared.settings import Settings

RUNS = 5


@contextmanager
def process(kind: str) -> Iterator[None]:
    """A process of the feeds service."""
    running = subprocess.Popen([sys.executable, "-m", "services.feeds", kind])
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(20)
        finally:
            running.kill()


def test_what_waits_runs_within_a_minute_after_the_broker_was_flushed(
    settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    api = client_for("feeds")
    for number in range(RUNS):
        uploaded = api.post(f"/v1/ingest?name=list-{number}", content=b"45.33.32.156\n")
        assert uploaded.status_code == 202, uploaded.text
    with redis.Redis.from_url(settings.celery_broker_url.get_secret_value()) as broker:
        broker.flushall()
    own = database("feeds")
    waiting = RUNS
    with ExitStack() as stack:
        stack.enter_context(process("worker"))
        stack.enter_context(process("consumer"))
        end = time.monotonic() + 90  # starting two processes takes its time
        while waiting and time.monotonic() < end:
            time.sleep(0.2)
            with own.transaction(PLATFORM) as session:
                query = sa.text("SELECT count(*) FROM run WHERE state IN ('queued', 'running')")
                waiting = session.scalar(query) or 0
    assert waiting == 0

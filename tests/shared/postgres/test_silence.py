"""A PostgreSQL that is frozen, or behind a frozen link, is given up; one that works is not."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa

from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.settings import Settings
from tests.faults.tcp_proxy import TcpProxy

GIVEN_UP = 10.0
"""Seconds; the figure of the promise."""


@pytest.fixture
def proxy(environment: Settings) -> Iterator[TcpProxy]:
    address = urlsplit(environment.database_url.get_secret_value())
    assert address.hostname is not None
    with TcpProxy(address.hostname, address.port or 5432) as proxy:
        yield proxy


@pytest.fixture
def own(environment: Settings, proxy: TcpProxy) -> Iterator[Database]:
    address = urlsplit(environment.database_url.get_secret_value())
    user = address.netloc.rpartition("@")[0]
    url = f"postgresql://{user}@127.0.0.1:{proxy.port}{address.path}"
    own = Database(url, "observables")
    yield own
    proxy.thaw()
    own.close()


def read(own: Database, seconds: float = 0) -> int:
    with own.transaction(PLATFORM) as session:
        return session.scalar(sa.text("SELECT 1 FROM pg_sleep(:seconds)"), {"seconds": seconds})


def read_in_pipeline(own: Database) -> None:
    with own.read_transaction(PLATFORM) as connection:
        connection.execute("SELECT 1").fetchone()


def elapsed(work: object, *arguments: object) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        work(*arguments)
    return time.monotonic() - started


def test_a_frozen_server_is_given_up_refused_at_once_and_taken_back(
    own: Database, proxy: TcpProxy
) -> None:
    assert read(own) == 1
    read_in_pipeline(own)
    threads = threading.active_count()
    proxy.freeze()
    with ThreadPoolExecutor(8) as pool:
        waits = [
            pool.submit(elapsed, work, own) for work in (read, read_in_pipeline) for _ in range(12)
        ]
        assert max(wait.result(60) for wait in waits) < GIVEN_UP
    # By now it is known: nobody waits for it again, and nothing piles up.
    accepted = proxy.accepted
    for _ in range(50):
        assert elapsed(read, own) < 2
        assert elapsed(read_in_pipeline, own) < 2
    assert proxy.accepted - accepted <= 5
    assert threading.active_count() <= threads + 2
    proxy.thaw()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert read(own) == 1
            read_in_pipeline(own)
            break
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_frozen_server_ends_what_an_event_loop_waits_for(own: Database, proxy: TcpProxy) -> None:
    async def scenario() -> None:
        async with await own.connect_async(PLATFORM) as connection:
            proxy.freeze()
            with pytest.raises(psycopg.OperationalError, match="does not answer"):
                async with asyncio.timeout(GIVEN_UP):
                    await connection.execute("SELECT 1")

    asyncio.run(scenario())


def test_a_long_statement_of_a_server_that_answers_goes_on(own: Database) -> None:
    assert read(own, seconds=6) == 1


def test_a_listener_may_wait(own: Database) -> None:
    async def scenario() -> None:
        async with await own.connect_async(PLATFORM) as connection:
            await connection.execute("LISTEN nobody")
            async for _ in connection.notifies(timeout=5):
                pass
            await connection.execute("SELECT 1")

    asyncio.run(scenario())


def test_a_probe_has_its_own_connection_and_limits(own: Database, proxy: TcpProxy) -> None:
    own.check()
    proxy.freeze()
    time.sleep(1.1)  # an answer is valid for a second
    assert elapsed(own.check) < 5


def test_a_server_ends_the_transaction_of_a_process_that_is_silent(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        limit = session.scalar(sa.text("SHOW idle_in_transaction_session_timeout"))
    assert limit == "10s"


def test_no_connection_survives_a_fork(own: Database, environment: Settings) -> None:
    """The child opens its own; the parent's go on, also when the child ends or cleans up."""
    with own.transaction(PLATFORM) as session:
        backend = session.scalar(sa.text("SELECT pg_backend_pid()"))
    with own.read_transaction(PLATFORM) as connection:
        reader = connection.info.backend_pid
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_backends_of_child(own, writing))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        others = pipe.read().split()
    assert os.waitpid(child, 0)[1] == 0
    assert len(others) == 2
    assert not {str(backend), str(reader)} & set(others)
    with own.transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT pg_backend_pid()")) == backend
    with own.read_transaction(PLATFORM) as connection:
        assert connection.info.backend_pid == reader
        assert connection.execute("SELECT 1").fetchone() == (1,)


def _backends_of_child(own: Database, pipe: int) -> int:
    try:
        with own.transaction(PLATFORM) as session:
            first = session.scalar(sa.text("SELECT pg_backend_pid()"))
        with own.read_transaction(PLATFORM) as connection:
            second = connection.info.backend_pid
        os.write(pipe, f"{first} {second}".encode())
        own.close()
    except BaseException:  # noqa: BLE001  # the parent reads the code
        return 1
    return 0

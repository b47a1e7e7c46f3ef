"""A real worker with prefork children that are killed again and again, while it is probed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
import sqlalchemy as sa

from services.observables.worker import celery
from shared.database import PLATFORM, database
from shared.runtime.celery import enqueue
from shared.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASK = "observables.tasks.prune_tables"
TASKS = 60
KILLS = 8


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def worker(environment: Settings, port: int) -> Iterator[psutil.Process]:
    environ = {
        **os.environ,
        "SENTINELIQ_PROBE_PORT": str(port),
        "SENTINELIQ_WORKER_CONCURRENCY": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.observables", "worker"], env=environ
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(40)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        answer = httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=10)
    except httpx2.TransportError:
        return 0, ""
    return answer.status_code, answer.text


def ended(port: int, state: str) -> float:
    prefix = f'sentineliq_task_seconds_count{{state="{state}",task="{TASK}"}} '
    lines = get(port, "/metrics")[1].splitlines()
    return sum(float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix))


def database_ports(process: psutil.Process, server_port: int) -> set[int]:
    """The local ports of a process's connections to PostgreSQL."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return {
            connection.laddr.port
            for connection in process.net_connections("tcp")
            if connection.raddr and connection.raddr.port == server_port
        }
    return set()


def pool_children(worker: psutil.Process) -> list[psutil.Process]:
    children = []
    for child in worker.children():
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "resource_tracker" not in " ".join(child.cmdline()):
                children.append(child)
    return children


def test_children_that_replace_others_have_connections_of_their_own(
    worker: psutil.Process, port: int, environment: Settings
) -> None:
    wait_for(lambda: get(port, "/readyz")[0] == 200, 60)
    stop = threading.Event()
    refusals: list[str] = []

    def probe() -> None:
        while not stop.wait(0.1):
            status, text = get(port, "/readyz")
            if status != 200:
                refusals.append(text)

    prober = threading.Thread(target=probe)
    prober.start()
    server_port = urlsplit(environment.database_url.get_secret_value()).port or 5432
    shared: set[int] = set()
    try:
        for number in range(KILLS):
            for _ in range(TASKS // KILLS + 1):
                enqueue(celery, TASK, tenant="*")
            time.sleep(0.7)
            children = pool_children(worker)
            ports = [database_ports(process, server_port) for process in (worker, *children)]
            for index, own in enumerate(ports):
                shared |= own & set().union(*ports[:index])
            with suppress(psutil.NoSuchProcess, IndexError):
                children[number % len(children)].send_signal(signal.SIGKILL)
        sent = KILLS * (TASKS // KILLS + 1)
        # A task whose child was killed runs again, or the kill came before it was counted.
        wait_for(lambda: ended(port, "SUCCESS") >= sent - KILLS, 60)
        wait_for(queue_is_empty, 30)
    finally:
        stop.set()
        prober.join()
    assert shared == set()
    assert ended(port, "FAILURE") == 0
    assert ended(port, "RETRY") == 0
    assert refusals == []
    with database("observables").transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT 1")) == 1


def queue_is_empty() -> bool:
    with celery.connection_for_read() as connection, connection.channel() as channel:
        return bool(channel.client.llen("observables") == 0)

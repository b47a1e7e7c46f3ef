"""What a process without an API tells about itself: a real worker is asked for its metrics."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from services.observables.worker import celery
from shared.runtime.celery import enqueue
from shared.runtime.probe import serve_probes
from shared.settings import Settings


@pytest.fixture
def worker(environment: Settings) -> Iterator[str]:
    """A worker of the observables service; the address of its probes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "SENTINELIQ_PROBE_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.observables", "worker"], env=environ
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def until(url: str, text: str, seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.2)
            continue
        if text in answer.text:
            return answer.text
        time.sleep(0.2)
    raise AssertionError(f"{url} did not say {text} within {seconds} s")


def test_what_tasks_counted_in_children_is_told_by_the_worker(worker: str, environment: Settings):
    until(f"{worker}/readyz", "ok")
    task = "observables.tasks.prune_runs"
    counted = f'sentineliq_task_seconds_count{{state="SUCCESS",task="{task}"}}'
    enqueue(celery, task, tenant="*")
    until(f"{worker}/metrics", f"{counted} 1.0")
    for _ in range(4):  # more than one child takes part
        enqueue(celery, task, tenant="*")
    until(f"{worker}/metrics", f"{counted} 5.0")


def test_probes_answer_while_connections_are_silent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve_probes(port, lambda: None, CollectorRegistry())
    with ExitStack() as stack:
        for _ in range(100):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.send(b"GET /hea")
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5).text == "ok"
        silent.settimeout(20)
        assert silent.recv(100) == b""  # it has a time-out

"""Memory of an API process, and the time of a valid request, beside peers that have no token.

The observables API meets, one after the other: 1,000 silent connections, heads without end, bodies
that trickle, and 64 MB of brackets, each from a process of its own that begins anew whenever it is
cut off. A client with a token looks values up meanwhile, on a new connection each time.
"""

import argparse
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psutil
from pydantic import SecretStr

from bench._figures import report_figures
from sentineliq.local.stack import Infrastructure
from shared.auth import issue_token
from shared.migrations import migrate

GROWTH_MIB = 32.0
P99_MS = 100.0
_SECRET = SecretStr("a-secret-of-the-bench-that-is-long-enough-to-be-one")
_PORT = 18_744
_CONNECTIONS = 1_000
_PAUSE_SECONDS = 0.005
_HEAD = b"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_BODY = _HEAD + b"Content-Length: 64000000\r\n\r\n"


def _connect() -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", _PORT), timeout=5)
    connection.setblocking(False)
    return connection


def _repeat(count: int, start: bytes, more: bytes, pause: float) -> None:
    """Keep so many connections, which all send some bytes first, and others in turn for ever."""
    connections: list[socket.socket] = []
    while True:
        with suppress(OSError):
            if len(connections) < count:
                connections.append(_connect())
                connections[-1].send(start)
                continue
        for connection in list(connections):
            try:
                connection.send(more)
            except BlockingIOError:
                continue
            except OSError:
                connection.close()
                connections.remove(connection)
        time.sleep(pause)


def be_silent() -> None:
    """Hold connections that say nothing."""
    _repeat(_CONNECTIONS, b"", b"", 0.5)


def send_heads() -> None:
    """Send headers that do not end."""
    _repeat(50, b"GET /v1/lookup?value=1.2.3.4 HTTP/1.1\r\nx: ", b"a" * 16_384, 0.05)


def trickle_bodies() -> None:
    """Send a body byte by byte."""
    _repeat(_CONNECTIONS, _BODY, b"[", 0.5)


def send_brackets() -> None:
    """Send 64 MB of brackets."""
    _repeat(8, _BODY, b"[" * 65_536, 0.05)


ATTACKS: dict[str, Callable[[], None]] = {
    "1,000 silent connections": be_silent,
    "heads without end": send_heads,
    "bodies that trickle": trickle_bodies,
    "64 MB of brackets": send_brackets,
}


@contextmanager
def _api(environment: dict[str, str]) -> Iterator[psutil.Process]:
    server = subprocess.Popen(
        [sys.executable, "-m", "services.observables", "api"],
        env={**os.environ, **environment, "SENTINELIQ_API_PORT": str(_PORT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            with suppress(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{_PORT}/healthz").raise_for_status()
                break
            time.sleep(0.1)
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def _look_up(request: bytes) -> float:
    """Milliseconds of a lookup with the connection that it opens."""
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", _PORT), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    if not received.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"A valid request was refused: {received[:300]!r}")
    return (time.perf_counter() - started) * 1000


def _observe(process: psutil.Process, request: bytes, seconds: float) -> tuple[float, float]:
    """Return the 99th percentile of lookups in ms, and the greatest resident memory in MiB."""
    times = []
    resident = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        times.append(_look_up(request))
        resident = max(resident, process.memory_info().rss)
        time.sleep(_PAUSE_SECONDS)
    return sorted(times)[int(len(times) * 0.99)], resident / 2**20


def measure(environment: dict[str, str], seconds: float) -> dict[str, float]:
    """Attack the API in each way."""
    token = issue_token(_SECRET, actor="bench", tenant="acme", role="viewer")
    request = (
        f"GET /v1/lookup?value=192.0.2.1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    figures = {}
    with _api(environment) as process:
        _observe(process, request, seconds)
        p99, before = _observe(process, request, seconds)
        figures["p99, undisturbed (ms)"] = p99
        for name, attack in ATTACKS.items():
            attacker = multiprocessing.get_context("spawn").Process(target=attack, daemon=True)
            attacker.start()
            time.sleep(2)
            p99, resident = _observe(process, request, seconds)
            attacker.kill()
            attacker.join()
            figures[f"p99, {name} (ms)"] = p99
            figures[f"growth, {name} (MiB)"] = resident - before
    return figures


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as parts:
            environment = {**parts.environment, "SENTINELIQ_SECRET_KEY": _SECRET.get_secret_value()}
            environment["SENTINELIQ_DATA_DIR"] = folder
            migrate("observables", environment["DATABASE_URL"])
            figures = measure(environment, arguments.seconds)
    missed = [
        f"{name}: {value:.1f}"
        for name, value in figures.items()
        if value > (P99_MS if name.startswith("p99") else GROWTH_MIB)
    ]
    report_figures("strangers", figures, missed)


if __name__ == "__main__":
    main()

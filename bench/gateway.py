"""The same requests straight to a service, and through the gateway, in the same run.

Lookups of one value on 16 connections tell the rate, and on one connection the time that the
gateway adds. An upload is a feed's list of some MiB, an export many values of one answer. Where
nginx is installed, it stands beside, with the routes that `sentineliq gateway edge nginx` writes.
"""

import argparse
import asyncio
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench._figures import report_figures
from bench.lookup import _SECRET, ask, bulks, percentile, process, singles, store, values
from sentineliq.local.ports import free_ports
from sentineliq.local.stack import Infrastructure
from services.gateway.routing.proxy_rules import nginx_settings
from shared.auth import issue_token
from shared.database import Database
from shared.kafka.topics import ensure_topics
from shared.migrations import migrate
from shared.settings import SERVICES, Settings

LEAST_RATE = 0.5
MOST_MS = 1.5
LEAST_BULK = 0.9
_ROUNDS = 5
_UPLOAD_LINES = 400_000


class Way(NamedTuple):
    """One way to a service.

    Attributes:
        name: of the way.
        port: that it goes through.
        is_prefixed: whether paths name the service.
    """

    name: str
    port: int
    is_prefixed: bool = True

    def request(self, service: str, data: bytes) -> bytes:
        """A request for a service, as this way takes it."""
        if not self.is_prefixed:
            return data
        return data.replace(b" /v1/", f" /api/{service}/v1/".encode(), 1)


@contextmanager
def nginx(urls: dict[str, str], folder: Path) -> Iterator[int | None]:
    """An nginx with the edge's routes; None where it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        yield None
        return
    [port] = free_ports(1)
    text = nginx_settings(urls, "_").replace("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; events {{}}\n"
        f"http {{ access_log off;\n{paths}{text} }}\n"
    )
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", "nginx.conf"]
    server = subprocess.Popen(command)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def in_turn(ways: dict[str, list[Way]], run: Callable[[Way, str], float]) -> dict[str, float]:
    """The median of some rounds by way; in each round every way has its turn."""
    results: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for service, listed in ways.items():
            for way in listed:
                results.setdefault(way.name, []).append(run(way, service))
    return {name: statistics.median(figures) for name, figures in results.items()}


def rate(way: Way, requests: list[bytes], seconds: float, connections: int) -> float:
    """Answers a second."""
    sent = [way.request("observables", request) for request in requests]
    return uvloop.run(ask(way.port, sent, seconds, connections))[0]


def latency(way: Way, requests: list[bytes], seconds: float) -> float:
    """Milliseconds at the median, on one connection."""
    sent = [way.request("observables", request) for request in requests]
    return percentile(uvloop.run(ask(way.port, sent, seconds, 1))[1], 0.5)


def upload(way: Way, token: str, number: int) -> float:
    """MiB a second of one upload, to the end of its answer."""
    chance = random.Random(number)  # noqa: S311  # test data
    lines = [f"{chance.getrandbits(256):064x}" for _ in range(_UPLOAD_LINES)]
    body = "\n".join(lines).encode()
    head = (
        f"POST /v1/ingest?name=bench-{number}&format=text HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    request = way.request("feeds", head.encode()) + body
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", way.port), timeout=120) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(1 << 20):
            received += piece
    seconds = time.perf_counter() - started
    assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 202")), received[:500]
    return len(body) / 2**20 / seconds


def measure(
    direct: dict[str, int], proxies: dict[str, int], sample: list[str], seconds: float
) -> dict[str, float]:
    """All figures of all ways."""
    token = issue_token(_SECRET, actor="bench", tenant="acme", role="admin")
    single = singles(sample, token)
    export = bulks(sample, token, 10_000)
    others = [Way(name, port) for name, port in proxies.items()]
    lookups = [Way("direct", direct["observables"], is_prefixed=False), *others]
    uploads = [Way("direct", direct["feeds"], is_prefixed=False), *others]
    for way in lookups:
        rate(way, single, 1.0, 4)  # everything is warm
    rates = in_turn({"observables": lookups}, lambda way, _: rate(way, single, seconds, 16))
    times = in_turn({"observables": lookups}, lambda way, _: latency(way, single, seconds))
    exports = in_turn({"observables": lookups}, lambda way, _: rate(way, export, seconds, 1))
    numbers = iter(range(1, 1_000))
    sizes = in_turn({"feeds": uploads}, lambda way, _: upload(way, token, next(numbers)))
    figures: dict[str, float] = {}
    for name in ("direct", *proxies):
        figures[f"lookups/s, {name}"] = rates[name]
        figures[f"p50 (ms), {name}"] = times[name]
        figures[f"exported values/s, {name}"] = exports[name] * 10_000
        figures[f"uploaded MiB/s, {name}"] = sizes[name]
    for name in proxies:
        figures[f"rate, share of direct, {name}"] = rates[name] / rates["direct"]
        figures[f"p50 added (ms), {name}"] = times[name] - times["direct"]
        figures[f"export, share of direct, {name}"] = exports[name] / exports["direct"]
        figures[f"upload, share of direct, {name}"] = sizes[name] / sizes["direct"]
    return figures


def run_all(parts: dict[str, str], folder: Path, rows: int, seconds: float) -> dict[str, float]:
    """Start what is measured, and measure it."""
    ports = dict(zip(("observables", "feeds", "gateway"), free_ports(3), strict=True))
    urls: dict[str, str] = {name: f"http://127.0.0.1:{ports.get(name, 1)}" for name in SERVICES}
    environment = {
        **parts,
        "SENTINELIQ_SECRET_KEY": _SECRET.get_secret_value(),
        "SENTINELIQ_DATA_DIR": str(folder),
        "SENTINELIQ_API_RATE": "1000000",  # what is measured has no bound
        "SENTINELIQ_QUOTAS": "runs-per-hour=100000",
        **{f"SENTINELIQ_{name.upper()}_URL": url for name, url in urls.items()},
    }
    os.environ.update(environment)
    for service in ports:
        migrate(service, environment["DATABASE_URL"])
    asyncio.run(ensure_topics(Settings()))  # type: ignore[call-arg]  # of the environment
    database = Database(environment["DATABASE_URL"], "observables")
    stored = values(rows)
    store(database, stored)
    database.close()
    with ExitStack() as stack:
        for service, port in ports.items():
            command = ["-m", f"services.{service}", "api"]
            own = environment | {"SENTINELIQ_API_PORT": str(port)}
            stack.enter_context(process(command, port, own))
        beside = stack.enter_context(nginx(urls, folder))
        proxies = {"gateway": ports["gateway"]}
        if beside is not None:
            proxies["nginx"] = beside
        return measure(ports, proxies, [indicator.value for indicator in stored], seconds)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Infrastructure(folder).running() as parts:
            environment = dict(parts.environment)
            figures = run_all(environment, folder, arguments.rows, arguments.seconds)
    missed = []
    if figures["rate, share of direct, gateway"] < LEAST_RATE:
        missed.append(f"less than {LEAST_RATE} of the direct rate")
    if figures["p50 added (ms), gateway"] > MOST_MS:
        missed.append(f"more than {MOST_MS} ms added at p50")
    missed += [
        f"{kind}s at less than {LEAST_BULK} of the direct rate"
        for kind in ("export", "upload")
        if figures[f"{kind}, share of direct, gateway"] < LEAST_BULK
    ]
    report_figures("gateway", figures, missed)


if __name__ == "__main__":
    main()

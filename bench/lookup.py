"""One value and many values looked up over HTTP among a million, beside a bare route.

The service answers with token, tenant and row-level security, every assertion and what lies
around the value; the bare route (FastAPI and psycopg) does one indexed SELECT without any of that.
Both are one process, used by 16 connections that each wait for their answer, one after the other
and again, so that a disturbance meets both.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import uvloop
from pydantic import SecretStr

from bench._figures import report_figures
from sentineliq.local.stack import Infrastructure
from services.observables.store.handlers import handle_observed
from shared.auth import issue_token
from shared.database import Database
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.migrations import migrate
from shared.stix import bucket
from shared.stix.ids import observable_id

RATE = 3_000
P99_MS = 15.0
BULK = 100_000
_SECRET = SecretStr("a-secret-of-the-bench-that-is-long-enough-to-be-one")
_CONNECTIONS = 16


def values(count: int) -> list[Indicator]:
    """Distinct indicators, the same every time: half addresses, the rest names, URLs, hashes."""
    chance = random.Random(20261123)  # noqa: S311  # test data
    letters = "abcdefghijklmnopqrstuvwxyz"
    indicators = []
    for number in chance.sample(range(0x01000000, 0x7E000000), count):
        name = "".join(chance.choices(letters, k=9)) + f"{number % 977}.com"
        match number % 6:
            case 0:
                indicators.append(Indicator("domain-name", name))
            case 1:
                indicators.append(Indicator("url", f"http://{name}/{number}"))
            case 2:
                indicators.append(Indicator("file-sha256", f"{chance.getrandbits(256):064x}"))
            case _:
                indicators.append(
                    Indicator(
                        "ipv4-addr",
                        f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                    )
                )
    return indicators


def store(database: Database, indicators: list[Indicator]) -> None:
    """Store indicators the way a feed's chunks are."""
    feed = FeedRef(UUID(int=1), "list", 80, kind="snapshot")
    now = datetime.now(UTC).isoformat()
    run = uuid4()
    for start in range(0, len(indicators), 20_000):
        by_bucket: dict[int, list[Indicator]] = {}
        for indicator in indicators[start : start + 20_000]:
            by_bucket.setdefault(bucket(observable_id(indicator.type, indicator.value)), []).append(
                indicator
            )
        events = [
            Event(
                OBSERVED,
                IndicatorsObserved(feed, run, number, start, now, 90, ("c2",), seen),
                "public",
                "/bench",
            )
            for number, seen in by_bucket.items()
        ]
        with database.transaction("public") as session:
            handle_observed(session, events)


@contextmanager
def process(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """A server that answers on a port."""
    server = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with ExitStack() as tried:
                import socket  # noqa: PLC0415

                probe = tried.enter_context(socket.socket())
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


class Asker(asyncio.Protocol):
    """One connection that asks one thing after the other."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self.seconds: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._until = until
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(next(self._requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take an answer; ask again."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._buffer[:500].decode()))
            return
        self.seconds.append(time.perf_counter() - self._asked)
        self._buffer = b""
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._transport.close()
            self.done.set_result(None)


async def ask(
    port: int, requests: list[bytes], seconds: float, connections: int
) -> tuple[float, list[float]]:
    """Requests a second, and how long each took."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()

    def forever() -> Iterator[bytes]:
        while True:
            yield from requests

    stream = forever()
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(
            lambda: Asker(stream, started + seconds), "127.0.0.1", port
        )
        askers.append(asker)
    await asyncio.gather(*(asker.done for asker in askers))
    took = [seconds_ for asker in askers for seconds_ in asker.seconds]
    return len(took) / (time.perf_counter() - started), took


def singles(values_: list[str], token: str) -> list[bytes]:
    """Questions about one value each."""
    head = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    return [f"GET /v1/lookup?value={quote(value, safe='')}{head}".encode() for value in values_]


def bulks(values_: list[str], token: str, size: int) -> list[bytes]:
    """Questions about many values each."""
    requests = []
    for start in range(0, len(values_) - size + 1, size):
        body = json.dumps({"values": values_[start : start + size]}).encode()
        head = f"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        requests.append(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    return requests


def percentile(took: list[float], share: float) -> float:
    """Milliseconds."""
    return sorted(took)[min(len(took) - 1, int(len(took) * share))] * 1000


def measure(
    environment: dict[str, str], stored: list[Indicator], seconds: float
) -> dict[str, float]:
    """Ask both, three times in turn; medians."""
    chance = random.Random(7)  # noqa: S311  # test data
    unknown = [
        f"203.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        for n in chance.sample(range(1 << 24), 50_000)
    ]
    sample = [
        indicator.value for indicator in chance.sample(stored, min(50_000, len(stored)))
    ] + unknown
    chance.shuffle(sample)
    token = issue_token(_SECRET, actor="bench", tenant="acme", role="viewer")
    service_runs = []
    bare = []
    many = []
    bare_many = []
    with (
        process(
            ["-m", "services.observables", "api"],
            18_742,
            environment | {"SENTINELIQ_API_PORT": "18742"},
        ) as service,
        process(["-m", "bench._bare_lookup"], 18_743, environment | {"PORT": "18743"}) as peer,
    ):
        for _ in range(3):
            service_runs.append(
                uvloop.run(ask(service, singles(sample, token), seconds, _CONNECTIONS))
            )
            bare.append(uvloop.run(ask(peer, singles(sample, token), seconds, _CONNECTIONS)))
            many.append(
                uvloop.run(ask(service, bulks(sample, token, 1_000), seconds, _CONNECTIONS))
            )
            bare_many.append(
                uvloop.run(ask(peer, bulks(sample, token, 1_000), seconds, _CONNECTIONS))
            )
        largest = uvloop.run(ask(service, bulks(sample, token, 10_000), seconds, 1))
    middle = statistics.median
    return {
        "requests/s, one value": middle(rate for rate, _ in service_runs),
        "p50 (ms)": middle(percentile(took, 0.5) for _, took in service_runs),
        "p99 (ms)": middle(percentile(took, 0.99) for _, took in service_runs),
        "requests/s, bare route": middle(rate for rate, _ in bare),
        "p99 of the bare route (ms)": middle(percentile(took, 0.99) for _, took in bare),
        "share of the bare route": middle(rate for rate, _ in service_runs)
        / middle(rate for rate, _ in bare),
        "values/s, 1,000 a request": 1_000 * middle(rate for rate, _ in many),
        "values/s of the bare route": 1_000 * middle(rate for rate, _ in bare_many),
        "share of the bare route in bulk": middle(rate for rate, _ in many)
        / middle(rate for rate, _ in bare_many),
        "p99 of 1,000 values (ms)": middle(percentile(took, 0.99) for _, took in many),
        "values/s, 10,000 a request": 10_000 * largest[0],
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    stored = values(arguments.rows)
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as parts:
            environment = {**parts.environment, "SENTINELIQ_SECRET_KEY": _SECRET.get_secret_value()}
            environment["SENTINELIQ_DATA_DIR"] = folder
            environment["SENTINELIQ_API_RATE"] = "1000000"  # what is measured has no bound
            migrate("observables", environment["DATABASE_URL"])
            database = Database(environment["DATABASE_URL"], "observables")
            started = time.perf_counter()
            store(database, stored)
            figures = {
                "rows": float(arguments.rows),
                "stored (rows/s)": arguments.rows / (time.perf_counter() - started),
            }
            with database.connect() as connection:  # as autovacuum does within a minute
                connection.execute(
                    "ANALYZE observables.observable, observables.assertion, observables.source"
                )
            database.close()
            figures |= measure(environment, stored, arguments.seconds)
    missed = []
    if figures["requests/s, one value"] < RATE:
        missed.append(f"fewer than {RATE:,} requests/s")
    if figures["p99 (ms)"] > P99_MS:
        missed.append(f"p99 above {P99_MS} ms")
    if figures["values/s, 1,000 a request"] < BULK:
        missed.append(f"fewer than {BULK:,} values/s in bulk")
    report_figures("lookup", figures, missed)


if __name__ == "__main__":
    main()

"""A million-line list from fetch to committed rows, beside raw COPY and upsert of the same rows.

The list is served gzipped over HTTP from this process; the clock runs from the order to fetch it
until the observables service has committed the last indicator. The limit is what PostgreSQL alone
does with the same rows in the same two tables: COPY into a staging table, then INSERT … ON
CONFLICT, in one process that does nothing else.
"""

import argparse
import gzip
import http.server
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid5

import httpx2
import psycopg

from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack

FLOOR = 60_000
_NAMESPACE = UUID("c4a3a1de-6d4c-4d56-9d0c-0d3e5a4a6c11")


def addresses(count: int) -> list[str]:
    """Distinct public-looking IPv4 addresses, the same ones every time."""
    chance = random.Random(20261123)  # noqa: S311  # test data
    numbers = chance.sample(range(0x01000000, 0x7E000000), count)
    return [f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers]


@contextmanager
def served(body: bytes) -> Iterator[str]:
    """The body, gzipped once, at an address on loopback."""
    packed = gzip.compress(body, 6)

    class Provider(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/list.txt"
    finally:
        server.shutdown()


def ingest(stack: Stack, values: list[str]) -> tuple[float, float]:
    """Seconds until the run was published, and until the last row was committed."""
    feeds = api_client(stack, "feeds")
    observables = api_client(stack, "observables")
    with served("\n".join(values).encode()) as url:
        subscription = {"name": "million", "url": url, "format": "text", "confidence": 90}
        feed = feeds.post("/v1/feeds", json=subscription).raise_for_status().json()
        started = time.perf_counter()
        run = feeds.post(f"/v1/feeds/{feed['id']}/runs").raise_for_status().json()
        published = None
        while True:
            now = time.perf_counter() - started
            if published is None and feeds.get(f"/v1/runs/{run['id']}").json()["state"] in (
                "applying",
                "succeeded",
            ):
                published = now
            if published is not None:
                received = observables.get(f"/v1/runs/{run['id']}").json()["received"]
                if received == len(values):
                    committed = time.perf_counter() - started
                    await_success(feeds, run["id"])
                    return published, committed
            time.sleep(0.25)  # asking costs what is measured


def await_success(feeds: httpx2.Client, run_id: str) -> None:
    """Wait until the feeds service knows that all of a run is applied."""
    end = time.monotonic() + 60
    while (state := feeds.get(f"/v1/runs/{run_id}").json()["state"]) != "succeeded":
        if time.monotonic() > end:
            sys.exit(f"All is stored, and the run is {state}.")
        time.sleep(0.25)


def upsert(database_url: str, values: list[str]) -> float:
    """Seconds that PostgreSQL alone needs for the same rows."""
    rows = [(str(uuid5(_NAMESPACE, value)), value) for value in values]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA limit_")
        for table in ("observable", "assertion"):
            connection.execute(
                f"CREATE TABLE limit_.{table} (LIKE observables.{table} INCLUDING ALL)"
            )
        started = time.perf_counter()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE staging (id uuid, value text) ON COMMIT DROP")
            with cursor.copy("COPY staging FROM STDIN") as copy:
                copy.write("".join(f"{identity}\t{value}\n" for identity, value in rows))
            cursor.execute(
                "INSERT INTO limit_.observable (tenant, id, type, value, score, first_seen, "
                "changed_at, key, due_at) SELECT 'acme', id, 'ipv4-addr', value, 72, now(), now(), "
                "value, now() FROM staging "
                "ORDER BY id ON CONFLICT DO NOTHING"
            )
            cursor.execute(
                "INSERT INTO limit_.assertion (tenant, observable_id, source_id, confidence, tags, "
                "first_seen, "
                "last_seen, "
                "observed_at) SELECT 'acme', id, %s, 90, '{}', now(), now(), now() "
                "FROM staging ORDER BY id "
                "ON CONFLICT DO NOTHING",
                (_NAMESPACE,),
            )
        return time.perf_counter() - started


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines
    values = addresses(lines)
    with throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _):
        published, committed = ingest(stack, values)
        limit = upsert(stack.environment["DATABASE_URL"], values)
    speed = lines / committed
    figures = {
        "lines": lines,
        "fetched, parsed, published (s)": published,
        "committed in PostgreSQL (s)": committed,
        "indicators/s, end to end": speed,
        "raw COPY + upsert, the limit (s)": limit,
        "rows/s of the limit": lines / limit,
        "share of the limit": speed / (lines / limit),
    }
    missed = (
        [f"{speed:,.0f} indicators/s is below {FLOOR:,}"]
        if lines >= 1_000_000 and speed < FLOOR
        else []
    )
    report_figures("ingest_million", figures, missed)


if __name__ == "__main__":
    main()

"""Pages of a large collection while a writer adds, and clients that read all of a smaller one.

medallion, OASIS' own server with its backend in memory, is read by the same clients. It compares
every object of a page with every one that it has, so that it gets fewer objects: the time of each
grows with their number.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

import httpx2
import msgspec
from pydantic import SecretStr
from taxii2client.v21 import Collection, as_pages

from bench._figures import report_figures
from bench._taxii_clients import CLIENTS, CollectionAccess, ids_of
from sentineliq.local.stack import Infrastructure
from services.observables.taxii import service
from services.observables.taxii.models import NewObject
from services.observables.taxii.moments import parse_moment
from services.observables.taxii.repository import objects
from services.observables.taxii.schemas import CollectionCreate
from shared.auth import issue_token
from shared.database import Database
from shared.migrations import migrate

P99_MS = 30.0
LAST_TO_FIRST = 1.2
PER_OBJECT = 150
_SECRET = SecretStr("a-secret-of-the-bench-that-is-long-enough-to-be-one")
_NAMES = UUID(int=21)
_MODIFIED = "2026-11-30T08:00:00.000Z"
_PAGE = 1_000
_WRITES = 5_000
_WRITERS = 4


def indicator(number: int) -> dict[str, Any]:
    """An indicator; the same number gives the same."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid5(_NAMES, str(number))}",
        "created": _MODIFIED,
        "modified": _MODIFIED,
        "indicator_types": ["malicious-activity"],
        "pattern": f"[url:value = 'http://{number % 977}.example.com/{number}']",
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": _MODIFIED,
        "confidence": number % 101,
    }


def append(database: Database, collection: UUID, numbers: range) -> None:
    """Add indicators in one transaction."""
    modified = parse_moment(_MODIFIED)
    new = []
    for number in numbers:
        stix_object = indicator(number)
        payload = msgspec.json.encode(stix_object)
        new.append(NewObject(stix_object["id"], modified, "indicator", "2.1", False, payload))
    with database.transaction("acme", 120) as session:
        objects.append_objects(session, "acme", collection, new)


def fill(database: Database, title: str, count: int) -> UUID:
    """A collection with some objects, as a list leaves it."""
    body = CollectionCreate.model_validate(
        {"title": title, "is_writable": True, "has_empty_list": True}
    )
    collection = service.create(database, "acme", "bench", body).id
    for start in range(0, count, 10_000):
        append(database, collection, range(start, min(start + 10_000, count)))
    return collection


@contextmanager
def process(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """A server, while it answers on a port."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(port)
            yield
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure_pages(access: CollectionAccess, count: int) -> dict[str, float]:
    """Milliseconds of pages at the beginning, the middle and the end of a collection."""
    dates = _dates_at(access, count)
    milliseconds: dict[str, list[float]] = {place: [] for place in dates}
    # In turns, so that a disturbance meets all of them.
    login = httpx2.BasicAuth(access.user, access.password)
    with httpx2.Client(auth=login, trust_env=False, headers={"accept": "*/*"}) as client:
        for _ in range(100):
            for place, date in dates.items():
                query: dict[str, Any] = {"limit": _PAGE, "added_after": date}
                started = time.perf_counter()
                answer = client.get(access.url, params=query)
                milliseconds[place].append((time.perf_counter() - started) * 1_000)
                assert answer.content.count(b'"id":') > _PAGE - 100
    every = sorted(figure for figures in milliseconds.values() for figure in figures)
    middle = {place: statistics.median(figures) for place, figures in milliseconds.items()}
    return {
        "page of 1,000, median (ms)": statistics.median(every),
        "page of 1,000, p99 (ms)": every[int(len(every) * 0.99)],
        "last page to first": middle["last"] / middle["first"],
    }


def _dates_at(access: CollectionAccess, count: int) -> dict[str, str]:
    """Where pages begin: what was added before, by the manifest's dates."""
    first = access.get(limit=100).headers["x-taxii-date-added-first"]
    dates = {"first": "2000-01-01T00:00:00Z"}
    for place, number in (("middle", count // 2), ("last", count - 3 * _PAGE)):
        identity = indicator(number)["id"]
        answer = access.get(**{"match[id]": identity, "added_after": dates["first"]})
        dates[place] = answer.headers["x-taxii-date-added-first"]
        assert dates[place] > first
    return dates


class Writer:
    """Adds some thousand objects a second, in transactions of a hundred, until it is stopped.

    Args:
        database: the service's.
        collection: a collection's id.
        start: the number of the first object.
    """

    def __init__(self, database: Database, collection: UUID, start: int) -> None:
        self._database = database
        self._collection = collection
        self._next = start
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.written = 0
        self.seconds = 0.0

    def _run(self) -> None:
        started = time.perf_counter()
        while not self._stopping.is_set():
            append(self._database, self._collection, range(self._next, self._next + 100))
            self._next += 100
            self.written += 100
            ahead = self.written / _WRITES - (time.perf_counter() - started)
            if ahead > 0:
                time.sleep(ahead)
        self.seconds = time.perf_counter() - started

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


def read_all(access: CollectionAccess) -> tuple[int, float]:
    """Objects that taxii2-client reads, and its seconds for each."""
    url = access.url.removesuffix("objects/")
    collection = Collection(url, user=access.user, password=access.password)
    started = time.perf_counter()
    ids: set[str] = set()
    for page in as_pages(collection.get_objects, per_request=_PAGE):
        ids.update(ids_of(page))
    return len(ids), (time.perf_counter() - started) / len(ids)


def follow_clients(
    database: Database, access: CollectionAccess, collection: UUID, count: int
) -> list[str]:
    """What five clients lose and see twice while four writers add after each page."""
    lines = []
    added = count
    for read in CLIENTS:
        seen: Counter[str] = Counter()
        present = added
        with ThreadPoolExecutor(_WRITERS) as writers:
            for number, ids in enumerate(read(access)):
                seen.update(ids)
                if number < 100:
                    starts = range(added, added + 5 * _WRITERS, 5)
                    added += 5 * _WRITERS
                    batches = [range(start, start + 5) for start in starts]
                    list(writers.map(lambda batch: append(database, collection, batch), batches))
                if number > 2_000:
                    break
        # taxii2-client reads once and stops; the others go on until nothing is new.
        expected = present if read is CLIENTS[0] else added
        lost = sum(indicator(number)["id"] not in seen for number in range(expected))
        twice = sum(times > 1 for times in seen.values())
        lines.append(f"{read.__name__}: {lost} of {expected:,} lost, {twice:,} twice")
    return lines


def write_medallion(folder: Path, count: int) -> Path:
    """Medallion's configuration and data; a configuration's path."""
    stored = [indicator(number) for number in range(count)]
    manifest = [
        {
            "id": entry["id"],
            "date_added": f"2026-11-30T08:{place // 60_000:02}:{place // 1_000 % 60:02}."
            f"{place % 1_000:03}000Z",
            "version": entry["modified"],
            "media_type": "application/stix+json;version=2.1",
        }
        for place, entry in enumerate(stored)
    ]
    collection = {
        "id": str(_NAMES),
        "title": "bench",
        "can_read": True,
        "can_write": False,
        "media_types": ["application/stix+json;version=2.1"],
        "manifest": manifest,
        "objects": stored,
    }
    root = {
        "information": {
            "title": "bench",
            "versions": ["application/taxii+json;version=2.1"],
            "max_content_length": 9_765_625,
        },
        "status": [],
        "collections": [collection],
    }
    data = {"/discovery": {"title": "bench", "api_roots": []}, "root": root}
    (folder / "data.json").write_text(json.dumps(data))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(folder / "data.json"),
    }
    config = {"users": {"any": "x"}, "taxii": {"max_page_size": _PAGE}, "backend": backend}
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def read_medallion(folder: Path, count: int) -> tuple[float, list[str]]:
    """Medallion's seconds for each object, and what each client makes of its pages."""
    port = free_port()
    command = ["-m", "medallion.scripts.run", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/root/collections/{_NAMES}/objects/"
    access = CollectionAccess(url, "any", "x")
    with process([*command, str(write_medallion(folder, count))], port, {}):
        _, seconds = read_all(access)
        lines = []
        for read in CLIENTS:
            try:
                seen = Counter(identity for ids in read(access) for identity in ids)
                twice = sum(times > 1 for times in seen.values())
                line = f"{count - len(seen)} of {count:,} lost, {twice:,} twice"
            except (OSError, KeyError, ValueError, httpx2.HTTPError) as error:
                line = f"{type(error).__name__}: {error}"
            lines.append(f"medallion, {read.__name__}: {line}"[:160])
    return seconds, lines


def measure(
    database: Database, access: CollectionAccess, arguments: argparse.Namespace
) -> dict[str, Any]:
    """All figures of SentinelIQ."""
    started = time.perf_counter()
    large = fill(database, "large", arguments.rows)
    figures: dict[str, Any] = {
        "objects in the collection": float(arguments.rows),
        "appended (objects/s)": arguments.rows / (time.perf_counter() - started),
    }
    small = fill(database, "small", arguments.objects - arguments.burst)
    append(database, small, range(arguments.objects - arguments.burst, arguments.objects))
    with database.connect() as connection:  # as autovacuum does within a minute
        connection.execute("VACUUM ANALYZE observables.collection_object")
    reached = access._replace(url=access.url.format(large))
    reached.get(limit=_PAGE)
    with Writer(database, large, 10 * arguments.rows) as writer:
        figures |= measure_pages(reached, arguments.rows)
    figures["written meanwhile (objects/s)"] = writer.written / writer.seconds
    reached = access._replace(url=access.url.format(small))
    count, seconds = read_all(reached)
    assert count == arguments.objects
    figures["taxii2-client (µs per object)"] = seconds * 1e6
    for line in follow_clients(database, reached, small, arguments.objects):
        print(line)
    return figures


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--burst", type=int, default=10_000)
    parser.add_argument("--medallion", type=int, default=5_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Infrastructure(folder).running() as parts:
            environment = {**parts.environment, "SENTINELIQ_SECRET_KEY": _SECRET.get_secret_value()}
            environment["SENTINELIQ_DATA_DIR"] = name
            environment["SENTINELIQ_API_RATE"] = "1000000"  # what is measured has no bound
            port = free_port()
            os.environ.update(environment)
            migrate("observables", environment["DATABASE_URL"])
            database = Database(environment["DATABASE_URL"], "observables")
            token = issue_token(_SECRET, actor="bench", tenant="acme", role="viewer")
            url = f"http://127.0.0.1:{port}/taxii2/acme/collections/{{}}/objects/"
            environment["SENTINELIQ_API_PORT"] = str(port)
            with process(["-m", "services.observables", "api"], port, environment):
                figures = measure(database, CollectionAccess(url, "any", token), arguments)
            database.close()
        seconds, lines = read_medallion(folder, arguments.medallion)
        print("\n".join(lines))
    figures["medallion (µs per object)"] = seconds * 1e6
    ratio = seconds * 1e6 / figures["taxii2-client (µs per object)"]
    figures["times faster for each object"] = ratio
    missed = []
    if figures["page of 1,000, p99 (ms)"] > P99_MS:
        missed.append(f"p99 above {P99_MS} ms")
    if figures["last page to first"] > LAST_TO_FIRST:
        missed.append(f"the last page takes over {LAST_TO_FIRST} times the first")
    if ratio < PER_OBJECT:
        missed.append(f"fewer than {PER_OBJECT} times faster for each object")
    report_figures("taxii", figures, missed)


if __name__ == "__main__":
    main()

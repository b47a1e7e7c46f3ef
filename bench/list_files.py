"""Files of a list with a million entries, beside COPY of the same rows; polls that bring nothing.

The list is stored as it stands in the tables; the file is written as a poll has it written.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import psycopg
from fastapi import FastAPI
from starlette.testclient import TestClient

from bench._figures import report_figures
from sentineliq.local.stack import Infrastructure
from services.observables.app import create_app
from services.observables.dissemination.consumers.schemas import ConsumerCreate
from services.observables.dissemination.consumers.service import create_consumer
from services.observables.dissemination.files.service import write_file
from services.observables.dissemination.lists.schemas import ListCreate
from services.observables.dissemination.lists.service import create_list
from shared.database import Database
from shared.migrations import migrate
from shared.settings import Settings

MOST_COPIES = 4.0
MOST_304_MS = 3.0
_POLLS = 3_000

_FILL = """
INSERT INTO observables.list_entry (tenant, list_id, observable_id, type, value, score, number,
    joined_at, is_dated)
SELECT 'acme', %(list)s, gen_random_uuid(), 'ipv4-addr',
    host('11.0.0.0'::inet + (number * 37) %% 16000000), 50 + number %% 50, number, now(), true
FROM generate_series(1, %(count)s) number
"""
_CLOSE = """
UPDATE observables.dissemination_list SET last_change_number = %(count)s, members = %(count)s,
    published_number = %(count)s, revision = 1, filled_revision = 1 WHERE id = %(list)s
"""
_COPY = """
COPY (SELECT value FROM observables.list_entry WHERE list_id = '{list}'
    ORDER BY score DESC, value COLLATE "C", type) TO STDOUT
"""


def store_list(database: Database, url: str, count: int) -> UUID:
    """A list with so many entries."""
    body = ListCreate.model_validate({"name": "million", "filter": "observable.score >= 50"})
    list_id = create_list(database, "acme", "bench", body).id
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL, {"list": list_id, "count": count})
        connection.execute(_CLOSE, {"list": list_id, "count": count})
        connection.execute("VACUUM ANALYZE observables.list_entry")
    return list_id


def copy_seconds(url: str, list_id: UUID) -> float:
    """The time of COPY of the values in their order."""
    started = time.perf_counter()
    statement = _COPY.format(list=list_id).encode()
    with psycopg.connect(url) as connection, connection.cursor().copy(statement) as copy:
        size = sum(len(piece) for piece in copy)
    assert size
    return time.perf_counter() - started


def poll_times(app: FastAPI, token: str) -> list[float]:
    """The milliseconds of polls that bring nothing new, one after another."""
    times = []
    with TestClient(app) as client:
        place = f"/lists/{token}/million.plain"
        tag = client.head(place, headers={"accept-encoding": "identity"}).headers["etag"]
        headers = {"accept-encoding": "identity", "if-none-match": tag}
        for _ in range(_POLLS):
            started = time.perf_counter()
            answer = client.get(place, headers=headers)
            times.append((time.perf_counter() - started) * 1_000)
            assert answer.status_code == 304
    return sorted(times)


def measure(environment: dict[str, str], folder: Path, count: int) -> dict[str, float]:
    """All figures."""
    url = environment["DATABASE_URL"]
    os.environ.update(environment)
    os.environ["SENTINELIQ_SECRET_KEY"] = uuid4().hex * 2
    os.environ["SENTINELIQ_DATA_DIR"] = str(folder)
    migrate("observables", url)
    database = Database(url, "observables")
    list_id = store_list(database, url, count)
    copy_seconds(url, list_id)
    copied = min(copy_seconds(url, list_id) for _ in range(3))
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    file = write_file(database, list_id, "plain")
    written = time.perf_counter() - started
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    figures = {
        "entries": float(file.entries),
        "COPY (s)": copied,
        "plain, with gzip and zstd (s)": written,
        "plain, times COPY": written / copied,
        "memory that it took (MiB)": grown,
    }
    for format_ in ("jsonl", "csv", "cidr"):
        started = time.perf_counter()
        write_file(database, list_id, format_)
        figures[f"{format_} (s)"] = time.perf_counter() - started
    body = ConsumerCreate.model_validate({"name": "bench", "list_ids": [list_id]})
    token = create_consumer(database, "acme", "bench", body).token
    times = poll_times(create_app(Settings(), database), token)  # type: ignore[call-arg]
    figures["304, median (ms)"] = times[len(times) // 2]
    figures["304, p99 (ms)"] = times[int(len(times) * 0.99)]
    database.close()
    return figures


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Infrastructure(folder).running() as parts:
            figures = measure(dict(parts.environment), folder, arguments.rows)
    missed = []
    if figures["plain, times COPY"] > MOST_COPIES:
        missed.append(f"plain takes more than {MOST_COPIES:.0f} times COPY")
    if figures["304, p99 (ms)"] > MOST_304_MS:
        missed.append(f"304 takes more than {MOST_304_MS:.0f} ms at p99")
    report_figures("list_files", figures, missed)


if __name__ == "__main__":
    main()

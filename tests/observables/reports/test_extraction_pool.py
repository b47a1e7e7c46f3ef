"""Documents are read in processes of their own: their limits, and when they end."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
from starlette.testclient import TestClient

from services.observables.reports.extraction import MAX_DISTINCT, ExtractedValue
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.reports.service import AnnotatedValue
from shared.errors import InvalidInput, TooLargeInput, Unavailable
from shared.sandbox import pool as sandbox_pool
from shared.sandbox import process as sandbox_process
from shared.sandbox.limits import JobLimits, SandboxLimits
from tests.shared.documents.book import pdf

SLOW = b"a.co " * 4_000_000
SHOW = "(evil.com 45.77.1.2 aaaaaaaaaaaaaaaaaaaaaa) Tj "


def annotate(values: Sequence[ExtractedValue]) -> list[AnnotatedValue]:
    """As if nothing were stored."""
    return [
        AnnotatedValue(value.type, value.value, value.count, value.positions, None, [])
        for value in values
    ]


@contextmanager
def file_of(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def extract(pool: ExtractionPool, content: bytes, kind: str = "text/plain") -> dict[str, Any]:
    with file_of(content) as file:
        answer: dict[str, Any] = msgspec.json.decode(
            await pool.extract("acme", file, kind, annotate)
        )
    return answer


def idle(pool: ExtractionPool) -> list[Any]:
    return pool._sandbox._idle


def pid_of(pool: ExtractionPool) -> int:
    (process,) = idle(pool)
    return process.pid


def has_ended(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if (
            not Path(f"/proc/{pid}").exists()
            or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
        ):
            return True
        time.sleep(0.02)
    return False


def test_a_process_stays_and_has_no_secrets_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINELIQ_SECRET_KEY", "a-secret")
    pool = ExtractionPool()
    assert not idle(pool)
    answer = asyncio.run(extract(pool, b"evil[.]com"))
    assert [observable["value"] for observable in answer["observables"]] == ["evil.com"]
    first = pid_of(pool)
    assert b"a-secret" not in Path(f"/proc/{first}/environ").read_bytes()
    asyncio.run(extract(pool, b"evil[.]com T1059"))
    assert pid_of(pool) == first


def test_a_process_that_grew_died_or_was_idle_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grown = ExtractionPool(SandboxLimits(retire_at=1))
    assert asyncio.run(extract(grown, b"evil.com"))["characters"] == 8
    assert not idle(grown)
    pool = ExtractionPool()
    asyncio.run(extract(pool, b"evil.com"))
    killed = pid_of(pool)
    os.kill(killed, signal.SIGKILL)
    assert has_ended(killed)
    monkeypatch.setattr(sandbox_pool, "IDLE_SECONDS", 0.2)
    asyncio.run(extract(pool, b"evil.com"))
    assert has_ended(pid_of(pool))
    asyncio.run(extract(pool, b"evil.com"))


def test_processes_end_with_their_pool() -> None:
    pool = ExtractionPool()
    asyncio.run(extract(pool, b"evil.com"))
    pid = pid_of(pool)
    del pool
    assert has_ended(pid)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<div>" * 3_000_000, "text/html"),
        ("\u200ba.".encode() * 3_000_000, "text/plain"),
        (pdf(f"BT /F 1 Tf 1 0 0 1 0 0 Tm {SHOW * 330_000} ET"), "application/pdf"),
    ],
)
def test_a_document_that_unfolds_to_more_than_the_memory_is_refused(
    content: bytes, kind: str
) -> None:
    pool = ExtractionPool(SandboxLimits(memory=100 << 20))
    with pytest.raises(InvalidInput, match="memory"):
        asyncio.run(extract(pool, content, kind))
    assert asyncio.run(extract(pool, b"evil.com"))["characters"] == 8


def test_a_document_that_takes_too_long_is_refused() -> None:
    pool = ExtractionPool(job_limits=JobLimits(seconds=0.5))
    with pytest.raises(TooLargeInput, match=r"longer than 0\.5 s"):
        asyncio.run(extract(pool, SLOW))


def test_a_process_that_does_not_answer_is_ended() -> None:
    with pytest.raises(TooLargeInput, match="longer than"):
        asyncio.run(extract(ExtractionPool(job_limits=JobLimits(wall_seconds=0.4)), SLOW))


def test_a_fault_of_the_process_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_process, "_COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match="ended with 3"):
        asyncio.run(extract(ExtractionPool(), b"evil.com"))


def test_a_broken_document_is_refused_with_the_place_and_the_process_stays() -> None:
    pool = ExtractionPool()
    with pytest.raises(InvalidInput, match="NUL byte at byte 4") as refused:
        asyncio.run(extract(pool, b"evil\0.com"))
    assert (type(refused.value), refused.value.details) == (InvalidInput, {"where": "byte 4"})
    assert pid_of(pool)


def test_a_third_document_waits_for_its_turn_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def three() -> list[Any]:
        pool = ExtractionPool(job_limits=JobLimits(seconds=2))
        first = [asyncio.create_task(extract(pool, SLOW)) for _ in range(2)]
        await asyncio.sleep(0.2)
        monkeypatch.setattr(sandbox_pool, "QUEUE_SECONDS", 0.3)
        third, *_ = await asyncio.gather(extract(pool, b"evil.com"), return_exceptions=True)
        monkeypatch.setattr(sandbox_pool, "QUEUE_SECONDS", 30)
        return [
            third,
            await extract(pool, b"evil.com"),
            *await asyncio.gather(*first, return_exceptions=True),
        ]

    refused, served, *slow = asyncio.run(three())
    assert isinstance(refused, Unavailable)
    assert refused.retry_after
    assert served["characters"] == 8
    assert all(isinstance(error, TooLargeInput) for error in slow)


def test_a_document_whose_sender_left_is_not_read_on() -> None:
    async def drop() -> None:
        pool = ExtractionPool()
        reading = [asyncio.create_task(extract(pool, SLOW)) for _ in range(3)]
        await asyncio.sleep(0.7)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        # Both turns are free again at once: SLOW takes many seconds.
        started = time.monotonic()
        await extract(pool, b"evil.com")
        assert time.monotonic() - started < 5

    asyncio.run(drop())


@pytest.mark.parametrize("busy", [False, True])
def test_processes_end_when_the_api_is_killed(busy: bool) -> None:
    code = f"""
import asyncio, tempfile, time
from services.observables.reports.extraction_pool import ExtractionPool
async def extract(content):
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        await pool.extract("acme", file, "text/plain", lambda values: [])
pool = ExtractionPool()
asyncio.run(extract(b"evil.com"))
print(pool._sandbox._idle[0].pid, flush=True)
asyncio.run(extract(b"a.co " * 4_000_000)) if {busy} else time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        time.sleep(0.5)
        owner.kill()
    assert has_ended(pid, 2)


@pytest.mark.slow
def test_a_list_as_a_document_costs_what_a_report_costs(
    client_for: Callable[..., TestClient],
) -> None:
    addresses = (
        f"{45 + (n >> 16)}.{(n >> 8) & 255}.{n & 255}.{n * 7 % 250 + 1}"
        for n in range(MAX_DISTINCT + 20_000)
    )
    client = client_for("observables")
    content = "\n".join(addresses).encode()
    answer = client.post("/v1/extract", content=content, headers={"content-type": "text/plain"})
    assert answer.status_code == 200, answer.text[:300]
    extraction = answer.json()
    values = [observable["value"] for observable in extraction["observables"]]
    assert len(values) == MAX_DISTINCT
    assert values[:2] == ["45.0.0.1", "45.0.1.8"]
    notes = [note.partition(" up to")[0] for note in extraction["notes"]]
    assert notes == ["observables were taken"]


def test_a_body_that_breaks_off_is_answered_and_forgotten(
    client_for: Callable[..., TestClient],
) -> None:
    client = client_for("observables")
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    headers = [
        (b"authorization", client.headers["authorization"].encode()),
        (b"content-type", b"text/plain"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/extract",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(
        client.app({**scope, "http_version": "1.1", "raw_path": b"/v1/extract"}, receive, send)
    )  # type: ignore[operator]
    assert messages[0]["status"] == 400
    assert not client.app.state.extraction_pool._sandbox._idle  # type: ignore[attr-defined]


def test_a_sender_that_waited_in_vain_is_told_when_to_retry(
    client_for: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_pool, "QUEUE_SECONDS", 0.1)
    client = client_for("observables")
    pool = client.app.state.extraction_pool  # type: ignore[attr-defined]
    for _ in range(sandbox_pool.MAX_PROCESSES):
        assert pool._sandbox._turns.acquire("acme", 0)
    answer = client.post("/v1/extract", content=b"evil.com", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "send this one again" in answer.json()["title"]

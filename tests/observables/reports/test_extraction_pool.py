"""Documents are read in processes of their own: what those may take, and when they end."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
from starlette.testclient import TestClient

from services.observables.reports import extraction_pool
from services.observables.reports.extraction import MAX_DISTINCT, Extraction
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.reports.extraction_process import Limits
from services.observables.reports.service import Named, Report
from shared.errors import InvalidInput, TooLargeInput, Unavailable
from tests.shared.documents.book import pdf

SLOW = b"a.co " * 4_000_000
SHOW = "(evil.com 45.77.1.2 aaaaaaaaaaaaaaaaaaaaaa) Tj "


def marked(found: Extraction) -> Report:
    """As if nothing were known."""
    named = [
        Named(one.type, one.value, one.count, one.positions, None, []) for one in found.observables
    ]
    return Report(named, found.attack, found.characters, found.pages, found.notes)


@contextmanager
def file_of(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def report(found: ExtractionPool, content: bytes, kind: str = "text/plain") -> dict[str, Any]:
    with file_of(content) as file:
        answer: dict[str, Any] = msgspec.json.decode(await found.report(file, kind, marked))
    return answer


def pid_of(found: ExtractionPool) -> int:
    (process,) = found._idle
    return process.pid


def gone(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if (
            not Path(f"/proc/{pid}").exists()
            or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
        ):
            return True
        time.sleep(0.02)
    return False


def test_a_process_is_kept_and_has_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINELIQ_SECRET_KEY", "a-secret")
    found = ExtractionPool()
    assert not found._idle
    assert [one["value"] for one in asyncio.run(report(found, b"evil[.]com"))["observables"]] == [
        "evil.com"
    ]
    first = pid_of(found)
    assert b"a-secret" not in Path(f"/proc/{first}/environ").read_bytes()
    asyncio.run(report(found, b"evil[.]com T1059"))
    assert pid_of(found) == first


def test_a_process_that_grew_died_or_has_nothing_to_do_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grown = ExtractionPool(Limits(grown=1))
    assert asyncio.run(report(grown, b"evil.com"))["characters"] == 8
    assert not grown._idle
    found = ExtractionPool()
    asyncio.run(report(found, b"evil.com"))
    killed = pid_of(found)
    os.kill(killed, signal.SIGKILL)
    assert gone(killed)
    monkeypatch.setattr(extraction_pool, "IDLE", 0.2)
    asyncio.run(report(found, b"evil.com"))
    assert gone(pid_of(found))
    asyncio.run(report(found, b"evil.com"))


def test_processes_end_with_their_pool() -> None:
    found = ExtractionPool()
    asyncio.run(report(found, b"evil.com"))
    pid = pid_of(found)
    del found
    assert gone(pid)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<div>" * 3_000_000, "text/html"),
        ("\u200ba.".encode() * 3_000_000, "text/plain"),
        (pdf(f"BT /F 1 Tf 1 0 0 1 0 0 Tm {SHOW * 330_000} ET"), "application/pdf"),
    ],
)
def test_what_unfolds_to_more_than_the_memory_there_is_is_refused(
    content: bytes, kind: str
) -> None:
    found = ExtractionPool(Limits(memory=100 << 20))
    with pytest.raises(InvalidInput, match="memory"):
        asyncio.run(report(found, content, kind))
    assert asyncio.run(report(found, b"evil.com"))["characters"] == 8


def test_what_takes_too_long_is_refused() -> None:
    found = ExtractionPool(Limits(seconds=0.5))
    with pytest.raises(TooLargeInput, match=r"longer than 0\.5 s"):
        asyncio.run(report(found, SLOW))


def test_a_process_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_pool, "_LONGEST", 0.02)
    with pytest.raises(TooLargeInput, match="longer than"):
        asyncio.run(report(ExtractionPool(Limits(seconds=20)), SLOW))


def test_a_fault_of_ours_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_pool, "_COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match="ended with 3"):
        asyncio.run(report(ExtractionPool(), b"evil.com"))


def test_what_is_no_document_is_refused_with_its_place_and_the_process_stays() -> None:
    found = ExtractionPool()
    with pytest.raises(InvalidInput, match="NUL byte at byte 4") as refused:
        asyncio.run(report(found, b"evil\0.com"))
    assert (type(refused.value), refused.value.details) == (InvalidInput, {"where": "byte 4"})
    assert pid_of(found)


def test_a_third_document_waits_for_its_turn_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def three() -> list[Any]:
        found = ExtractionPool(Limits(seconds=2))
        first = [asyncio.create_task(report(found, SLOW)) for _ in range(2)]
        await asyncio.sleep(0.2)
        monkeypatch.setattr(extraction_pool, "PATIENCE", 0.3)
        third, *_ = await asyncio.gather(report(found, b"evil.com"), return_exceptions=True)
        monkeypatch.setattr(extraction_pool, "PATIENCE", 30)
        return [
            third,
            await report(found, b"evil.com"),
            *await asyncio.gather(*first, return_exceptions=True),
        ]

    refused, served, *slow = asyncio.run(three())
    assert isinstance(refused, Unavailable)
    assert refused.retry_after
    assert served["characters"] == 8
    assert all(isinstance(one, TooLargeInput) for one in slow)


def test_a_document_that_nobody_waits_for_is_not_read_on() -> None:
    async def drop() -> None:
        found = ExtractionPool()
        reading = [asyncio.create_task(report(found, SLOW)) for _ in range(3)]
        await asyncio.sleep(0.7)
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        # Both turns are free again at once: SLOW takes many seconds.
        started = time.monotonic()
        await report(found, b"evil.com")
        assert time.monotonic() - started < 5

    asyncio.run(drop())


@pytest.mark.parametrize("busy", [False, True])
def test_processes_end_when_the_api_is_killed(busy: bool) -> None:
    code = f"""
import asyncio, tempfile, time
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.reports.service import Report
async def report(content):
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        await found.report(file, "text/plain", lambda one: Report([], [], 0, None, []))
found = ExtractionPool()
asyncio.run(report(b"evil.com"))
print(found._idle[0].pid, flush=True)
asyncio.run(report(b"a.co " * 4_000_000)) if {busy} else time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        time.sleep(0.5)
        owner.kill()
    assert gone(pid, 2)


def test_a_list_as_a_document_costs_what_a_report_costs(
    client_for: Callable[..., TestClient],
) -> None:
    addresses = (
        f"{45 + (n >> 16)}.{(n >> 8) & 255}.{n & 255}.{n * 7 % 250 + 1}"
        for n in range(MAX_DISTINCT + 20_000)
    )
    client, content = client_for("observables"), "\n".join(addresses).encode()
    answer = client.post("/v1/extract", content=content, headers={"content-type": "text/plain"})
    assert answer.status_code == 200, answer.text[:300]
    found = answer.json()
    assert len(found["observables"]) == MAX_DISTINCT
    assert [one["value"] for one in found["observables"][:2]] == ["45.0.0.1", "45.0.1.8"]
    assert [note.partition(" up to")[0] for note in found["notes"]] == ["observables were taken"]


def test_a_body_that_breaks_off_is_answered_and_forgotten(
    client_for: Callable[..., TestClient],
) -> None:
    client = client_for("observables")
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

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
    assert said[0]["status"] == 400
    assert not client.app.state.extractors._idle  # type: ignore[attr-defined]


def test_whoever_waited_in_vain_is_told_when_to_come_again(
    client_for: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction_pool, "PATIENCE", 0.1)
    client = client_for("observables")
    for _ in range(extraction_pool.AT_ONCE):
        client.app.state.extractors._threads.submit(time.sleep, 1)  # type: ignore[attr-defined]
    answer = client.post("/v1/extract", content=b"evil.com", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "send this one again" in answer.json()["title"]

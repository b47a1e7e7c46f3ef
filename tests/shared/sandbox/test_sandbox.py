"""A child reads what others wrote: its limits, what it may not do, and when it ends."""

import errno
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from shared.errors import InvalidInput, Unavailable
from shared.sandbox import pool as pool_module
from shared.sandbox.limits import JobLimits, ReaderFault, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.pool import Cancellation, SandboxPool
from shared.telemetry.metrics import SANDBOX_JOBS
from tests.shared.sandbox import jobs

WARM = ("tests.shared.sandbox.jobs",)


def make_pool(size: int = 2, **limits: int) -> SandboxPool:
    errors = (MalformedDocument, AmbiguousDocument)
    return SandboxPool("feeds", SandboxLimits(**limits), warm=WARM, errors=errors, size=size)


@pytest.fixture(scope="module")
def sandbox() -> SandboxPool:
    return make_pool()


def answer(pool: SandboxPool, request: bytes = b"well") -> bytes:
    return bytes(pool.call(jobs.echo, request, [], JobLimits()))


def drain(pool: SandboxPool, job: Any, request: bytes = b"", **limits: float) -> list[bytearray]:
    return list(pool.run(job, request, (), JobLimits(**limits)))


def pid_of(pool: SandboxPool) -> int:
    (process,) = pool._idle
    return process.pid


def has_ended(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("cause", "job", "request_", "limits"),
    [
        ("processor-time", jobs.spin, b"", {"seconds": 0.3}),
        ("wall-clock", jobs.sleep, b"", {"wall_seconds": 0.3}),
        ("memory", jobs.grow, b"", {}),
        ("open-files", jobs.open_files, b"", {}),
        ("result", jobs.frames, b"40", {"result": 1 << 20}),
        ("crash", jobs.crash, b"abort", {}),
        ("crash", jobs.crash, b"fault", {}),
    ],
)
def test_a_document_that_exceeds_a_limit_is_refused_with_its_name_and_costs_a_child(
    cause: str, job: Any, request_: bytes, limits: dict[str, float]
) -> None:
    pool = make_pool(memory=128 << 20)
    assert answer(pool) == b"well"
    before = SANDBOX_JOBS.labels("feeds", cause)._value.get()
    with pytest.raises(SandboxLimitExceeded) as refused:
        drain(pool, job, request_, **limits)
    assert (refused.value.cause, refused.value.details["limit"]) == (cause, cause)
    assert (refused.value.status, refused.value.code) == (422, "document-limit")
    assert not isinstance(refused.value, Unavailable)
    assert SANDBOX_JOBS.labels("feeds", cause)._value.get() == before + 1
    assert answer(pool) == b"well"


def test_a_child_has_nothing_of_its_parent_and_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SENTINELIQ_SECRET_KEY", "a-secret")
    secret = tmp_path / "secret"
    secret.write_text("a-secret")
    pool = make_pool()
    request = msgspec.msgpack.encode((os.getpid(), str(secret)))
    report = msgspec.msgpack.decode(pool.call(jobs.attempts, request, [], JobLimits()))
    assert report["environment"] == ["LC_ALL", "OPENBLAS_NUM_THREADS", "PYTHONPATH"]
    assert pool._idle[0].holds == ["limits", "no-new-privileges", "landlock", "seccomp"]
    assert report["succeeded"] == []
    assert report["threads"]
    assert report["open"] <= 4  # the socket, two outputs, the null device
    assert secret.read_text() == "a-secret"
    status = Path(f"/proc/{pid_of(pool)}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    limits = Path(f"/proc/{pid_of(pool)}/limits").read_text()
    assert "Max core file size        0 " in limits
    assert "Max open files            64 " in limits


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_calls_that_reach_beyond_the_child_are_refused(sandbox: SandboxPool) -> None:
    assert [bytes(frame) for frame in sandbox.run(jobs.refused_numbers, b"", [])] == []


def test_a_child_that_switches_its_timer_off_ends_all_the_same() -> None:
    pool = make_pool()
    with pytest.raises(SandboxLimitExceeded) as refused:
        drain(pool, jobs.outrun, seconds=0.3, wall_seconds=120)
    assert refused.value.cause == "processor-time"


def test_a_child_reads_files_that_it_is_given(sandbox: SandboxPool) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.flush()
        frames = [bytes(frame) for frame in sandbox.run(jobs.echo, b"x", [file.fileno()] * 2)]
    assert frames == [b"x", b"content", b"content"]


def test_large_results_come_in_frames_while_the_child_computes(sandbox: SandboxPool) -> None:
    frames = drain(sandbox, jobs.frames, b"300")
    assert (len(frames), sum(map(len, frames))) == (300, 300 * jobs.PIECE)


def test_errors_come_as_they_were_raised(sandbox: SandboxPool) -> None:
    with pytest.raises(AmbiguousDocument) as doubt:
        drain(sandbox, jobs.refuse, b"ambiguous")
    assert (doubt.value.where, doubt.value.message) == ("line 1", "line 1: two ways")
    assert doubt.value.alternatives == [{"format": "csv", "options": {"a": 1}}]
    with pytest.raises(MalformedDocument, match="line 3: no list") as malformed:
        drain(sandbox, jobs.refuse, b"malformed")
    assert malformed.value.details == {"where": "line 3", "hint": "x"}
    with pytest.raises(InvalidInput) as wrong:
        drain(sandbox, jobs.refuse)
    assert (type(wrong.value), wrong.value.details) == (InvalidInput, {"field": "options.x"})
    with pytest.raises(OSError, match="full") as full:
        drain(sandbox, jobs.refuse, b"disk")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(ReaderFault, match="KeyError: 'colour'"):
        drain(sandbox, jobs.refuse, b"fault")
    assert answer(sandbox) == b"well"


def test_a_child_stays_for_the_next_document_until_it_has_grown() -> None:
    pool = make_pool(memory=512 << 20, retire_at=150 << 20)
    answer(pool)
    first = pid_of(pool)
    drain(pool, jobs.hold, b"1000")
    assert pid_of(pool) == first
    drain(pool, jobs.hold, str(200 << 20).encode())
    assert pool._idle == []
    assert has_ended(first)
    assert answer(pool) == b"well"


def test_a_child_that_died_or_was_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.2)
    pool = make_pool()
    answer(pool)
    assert has_ended(pid_of(pool))
    monkeypatch.undo()
    answer(pool)
    os.kill(pid_of(pool), signal.SIGKILL)
    assert has_ended(pid_of(pool))
    assert answer(pool) == b"well"


def test_a_child_that_is_stopped_from_outside_is_no_fault_of_the_document() -> None:
    pool = make_pool()
    cancellation = Cancellation()
    frames = pool.run(jobs.sleep, b"", (), JobLimits(), cancellation=cancellation)
    assert next(frames) == b"begun"
    assert cancellation._process
    os.kill(cancellation._process.pid, signal.SIGTERM)
    with pytest.raises(Unavailable, match="stopped"):
        next(frames)


def test_a_parent_that_gives_up_while_it_waits_ends_the_child_at_once() -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    pool = make_pool()
    answer(pool)
    pid = pid_of(pool)
    frames = pool.run(jobs.spin, b"", (), JobLimits(), on_wait=stop)
    with pytest.raises(Stop):
        list(frames)
    assert has_ended(pid)
    frames = pool.run(jobs.spin, b"", (), JobLimits())
    next(frames)
    frames.close()  # as when the reader of the frames fails
    assert pool._idle == []
    cancellation = Cancellation()
    frames = pool.run(jobs.spin, b"", (), JobLimits(), cancellation=cancellation)
    next(frames)
    cancellation.cancel()
    with pytest.raises(SandboxLimitExceeded):
        next(frames)


def test_a_document_waits_for_its_turn_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "QUEUE_SECONDS", 0.2)
    pool = make_pool(size=1)
    first = pool.run(jobs.sleep, b"", (), JobLimits())
    next(first)
    with pytest.raises(Unavailable) as busy:
        answer(pool)
    assert busy.value.retry_after
    first.close()
    assert answer(pool) == b"well"


def test_a_child_is_started_before_its_first_document() -> None:
    pool = make_pool()
    pool.start()
    until = time.monotonic() + 30
    while not pool._idle and time.monotonic() < until:
        time.sleep(0.02)
    pid = pid_of(pool)
    assert answer(pool) == b"well"
    assert pid_of(pool) == pid


@pytest.mark.parametrize("job", ["echo", "spin"])
def test_children_end_with_their_parent(job: str) -> None:
    code = f"""
import threading, time
from shared.sandbox.limits import JobLimits
from shared.sandbox.pool import SandboxPool
from tests.shared.sandbox import jobs
pool = SandboxPool("feeds")
def read():  # a thread that ends, as those of a web server do
    pool.call(jobs.echo, b"", [], JobLimits())
thread = threading.Thread(target=read)
thread.start()
thread.join()
pid = pool._idle[0].pid
pool.call(jobs.echo, b"", [], JobLimits())
assert pool._idle[0].pid == pid
print(pid, flush=True)
list(pool.run(jobs.{job}, b"", [], JobLimits()))
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        time.sleep(0.5)
        owner.kill()
    assert has_ended(pid, 2)


def test_a_child_may_read_the_packages_of_an_editable_installation(tmp_path: Path) -> None:
    """Their folder is on no path when the parent was started elsewhere."""
    script = (
        "import services, shared\n"
        "from pathlib import Path\n"
        "from shared.sandbox import child\n"
        "folders = child.readable_folders()\n"
        "for package in (services, shared):\n"
        "    folder = Path(package.__path__[0])\n"
        "    assert any(folder.is_relative_to(each) for each in folders), folder\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, check=True)

import os
import textwrap
import time
from collections.abc import Callable

import psutil
import pytest

TOY = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path

def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text, os.environ["NOTIFY_SOCKET"])

def main(arguments):
    kind, data = arguments[0], Path(os.environ["SENTINELIQ_DATA_DIR"])
    port = os.environ.get("SENTINELIQ_API_PORT")
    print(json.dumps({"kind": kind, "port": port, "argv": sys.argv}))
    if kind == "migrate":
        (data / "migrated").touch()
        return 0
    if kind == "broken":
        print("the table is missing", file=sys.stderr)
        return 3
    if kind == "unimportable":
        import no_such_module
    assert (data / "migrated").exists()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"])
        print("child", child.pid)
    notify(b"STATUS=warming up")
    notify(b"STATUS=here\\nREADY=1")
    while True:
        time.sleep(0.05)
"""

ELSEWHERE = {
    "DATABASE_URL": "postgresql://elsewhere/x",
    "CELERY_BROKER_URL": "redis://elsewhere/0",
    "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092",
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A package of one small service, `toys.feeds`.

    Gives an environment in which the stack starts no servers.
    """
    package = tmp_path / "path" / "toys" / "feeds"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    return {**os.environ, **ELSEWHERE}


@pytest.fixture
def eventually() -> Callable[[Callable[[], object], float], None]:
    def wait(condition: Callable[[], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.05)

    return wait


@pytest.fixture
def gone() -> Callable[[int], bool]:
    def is_gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return is_gone

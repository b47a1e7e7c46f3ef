"""The page about backups, followed to the letter: what is restored is what was there."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sentineliq.local.ports import Ports
from tests.cli.conftest import eventually
from tests.cli.documents.blocks import ROOT, commands_of
from tests.cli.documents.test_commands import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = ROOT / "docs" / "backup.md"
TENANT = "restored"
READY = re.compile(r"^SentinelIQ +ready after", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is; PostgreSQL runs as another user when the tests run as root."""
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        parent.chmod(0o755)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def free_base() -> int:
    """A first port from which all that a stack needs are free."""
    count = len(Ports.names())
    for base in range(23000, 60000, 100):
        if all(map(is_free, range(base, base + count))):
            return base
    raise AssertionError("no ports are free")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def run(folder: Path, command: str) -> str:
    """Run a command as the reader does; what it prints."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(TENANT),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def as_json(folder: Path, command: str) -> Any:
    return json.loads(run(folder, f"{command} --json"))


@contextmanager
def running(folder: Path, command: str) -> Iterator[None]:
    """A stack, from when it is ready until SIGTERM has ended it."""
    log = folder / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment(TENANT),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(lambda: READY.search(log.read_text()) or process.poll(), 180)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(90)


def other_problems(folder: Path, command: str) -> list[str]:
    """What doctor finds wrong, beside the logs that a restored installation has anew."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(TENANT),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(line.startswith("ok ") for line in lines), done.stdout + done.stderr
    return [line for line in lines if line.startswith("problem ") and " logs " not in line]


def facts(folder: Path, where: str) -> dict[str, Any]:
    """What has to be the same afterwards."""
    lookup = as_json(folder, f"sentineliq lookup 198.51.100.61{where}")
    schedules = as_json(folder, f"sentineliq schedules list{where}")
    channels = as_json(folder, f"sentineliq notifications channels list{where}")
    return {
        "count": as_json(folder, f"sentineliq observables count{where}"),
        "score": lookup[0]["observable"]["score"],
        "schedules": [(item["name"], item["args"], item["cron"]) for item in schedules],
        "channels": [(item["name"], item["config"]) for item in channels],
        "feeds": [item["name"] for item in as_json(folder, f"sentineliq feeds list{where}")],
    }


def test_an_installation_is_restored_by_the_commands_of_the_page(folder: Path) -> None:
    commands = [command.text for command in commands_of(PAGE)]
    base = free_base()
    with running(folder, f"sentineliq up --no-starter --port-base {base}"):
        lines = "\\n".join(f"198.51.100.{number}" for number in range(60, 90))
        run(folder, f"printf '{lines}\\n' > seen.txt && sentineliq ingest seen.txt --confidence 90")
        run(folder, "sentineliq notifications channels add log-channel log")
        run(folder, "sentineliq schedules add daily feeds.tasks.start_feed --every 1d --feed seen")
        before = facts(folder, "")
    archive = [text for text in commands if text.startswith(("tar -C .sentineliq", "chmod"))]
    unpack = [text for text in commands if text.startswith(("mkdir", "tar -C restored"))]
    assert len(archive) == len(unpack) == 2
    for text in (*archive, *unpack):
        run(folder, text)
    assert (folder / "sentineliq-backup.tar.gz").stat().st_mode & 0o077 == 0
    [start] = [text for text in commands if text.startswith("sentineliq up")]
    # Without the starter's samples, as the one before: they would be new in both.
    present = re.sub(r"\d{5}", str(base), start)
    with running(folder, f"{present} --no-starter"):
        where = " --data-dir restored"
        for text in commands:
            if text.startswith("sentineliq doctor"):
                eventually(lambda command=text: other_problems(folder, command) == [], 90)
            elif text.startswith("sentineliq") and "up" not in text.split():
                run(folder, text)
        assert facts(folder, where) == before
        run(folder, f"printf '203.0.113.9\\n' > new.txt && sentineliq ingest new.txt{where}")
        answers = as_json(folder, f"sentineliq lookup 203.0.113.9{where}")
        assert answers[0]["observable"] is not None

"""The supervisor with small real processes in the services' place."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from sentineliq.local.errors import StackError
from sentineliq.local.orphans import running_processes
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack

SCRIPT = """
import sys
from pathlib import Path
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
kinds = sys.argv[2].split(",")
stack = Stack(
    Path(sys.argv[1]),
    Ports.free(),
    migrations=[("feeds", "migrate")],
    processes=[("feeds", kind) for kind in kinds],
    package="toys",
    preload="json",
    on_line=lambda component, line: print(component, line, flush=True),
)
try:
    with stack.running():
        print("all ready", flush=True)
        stack.wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


class Log:
    def __init__(self):
        self.lines = []
        self.states = []

    def line(self, component, line):
        self.lines.append((component, line))

    def state(self, component, state, _detail):
        self.states.append((component, state))


def title_of(process):
    """What `ps` shows."""
    return " ".join(process.cmdline()).strip("\0 ")


def make_stack(tmp_path, environ, *kinds, migrate="migrate"):
    log = Log()
    return log, Stack(
        tmp_path / "data",
        Ports.free(),
        environ,
        migrations=[("feeds", migrate)],
        processes=[("feeds", kind) for kind in kinds],
        package="toys",
        preload="json",
        on_line=log.line,
        on_state=log.state,
    )


def test_starts_in_order_passes_the_environment_and_stops_all(tmp_path, toys, gone):
    log, stack = make_stack(tmp_path, toys, "api", "worker")
    with stack.running():
        pids = running_processes(stack.data_dir)
        names = {name: psutil.Process(pid).name() for name, pid in pids.items()}
        titles = {name: title_of(psutil.Process(pid)) for name, pid in pids.items()}
        fork_server = psutil.Process(pids["feeds-api"]).parent()
        assert title_of(fork_server) == "sentineliq: fork server"
    assert names == {"feeds-api": "feeds-api", "feeds-worker": "feeds-worker"}
    assert titles == {
        "feeds-api": "sentineliq: feeds api",
        "feeds-worker": "sentineliq: feeds worker",
    }
    assert log.states.index(("feeds-migrate", "done")) < log.states.index(("feeds-api", "starting"))
    reports = {component: json.loads(line) for component, line in log.lines}
    assert reports["feeds-api"]["port"] == str(stack.ports.feeds)
    assert reports["feeds-worker"]["port"] is None
    assert reports["feeds-worker"]["argv"][1:] == ["worker"]
    assert stack.environment["DATABASE_URL"] == "postgresql://elsewhere/x"
    assert all(gone(pid) for pid in pids.values())
    assert not (stack.data_dir / "postgres").exists()


def test_its_files_and_those_of_its_processes_are_private(tmp_path, toys):
    before = os.umask(0o022)
    try:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "old").write_text("of an earlier version")
        _log, stack = make_stack(tmp_path, toys, "worker")
        with stack.running():
            modes = {path: path.stat().st_mode & 0o077 for path in stack.data_dir.rglob("*")}
            assert stack.data_dir.stat().st_mode & 0o777 == 0o700
        assert stack.data_dir / "migrated" in modes, "a process has written it"
        assert {path.name for path, mode in modes.items() if mode} == set()
        assert os.umask(0o022) == 0o022, "it is this process's own again"
    finally:
        os.umask(before)


def test_starts_again_what_was_killed_and_everything_when_the_fork_server_was(
    tmp_path, toys, eventually, gone
):
    log, stack = make_stack(tmp_path, toys, "worker", "consumer")
    with stack.running():
        before = running_processes(stack.data_dir)
        os.kill(before["feeds-worker"], signal.SIGKILL)
        eventually(lambda: log.states.count(("feeds-worker", "ready")) == 2, 10)
        after = running_processes(stack.data_dir)
        assert after["feeds-worker"] != before["feeds-worker"]
        assert after["feeds-consumer"] == before["feeds-consumer"]

        os.kill(psutil.Process(after["feeds-worker"]).ppid(), signal.SIGKILL)
        eventually(lambda: log.states.count(("feeds-worker", "ready")) == 3, 20)
        eventually(lambda: log.states.count(("feeds-consumer", "ready")) == 2, 20)
        assert all(gone(pid) for pid in [*before.values(), *after.values()])
        last = running_processes(stack.data_dir)
    assert len(last) == 2
    assert all(gone(pid) for pid in last.values())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "broken",
            r"feeds-broken ended with exit code 3; its last lines:\n.*\n  the table is missing",
        ),
        (
            "unimportable",
            r"(?s)feeds-unimportable ended with exit code 1; .*No module named 'no_such_module'",
        ),
    ],
)
def test_what_cannot_start_says_why(tmp_path, toys, kind, message):
    _, stack = make_stack(tmp_path, toys, kind)
    with pytest.raises(StackError, match=message), stack.running():
        pytest.fail("it is not running")
    assert running_processes(stack.data_dir) == {}


def test_a_failed_migration_starts_no_service(tmp_path, toys):
    log, stack = make_stack(tmp_path, toys, "api", migrate="broken")
    with pytest.raises(StackError, match="the table is missing"), stack.running():
        pytest.fail("it is not running")
    assert ("feeds-api", "starting") not in log.states


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(tmp_path, toys):
    _, stack = make_stack(tmp_path, toys, "worker")
    _, second = make_stack(tmp_path, toys, "worker")
    with (
        stack.running(),
        pytest.raises(StackError, match=f"in use by process {os.getpid()}"),
        second.running(),
    ):
        pytest.fail("it is not running")


def start_script(tmp_path, environ, kinds):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "data"), kinds],
        env={**environ, "PYTHONPATH": str(tmp_path / "path")},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "all ready\n":
            return process, lines
    raise AssertionError("".join(lines))


def test_interrupt_stops_all_within_ten_seconds_and_a_second_one_at_once(
    tmp_path, toys, gone, eventually
):
    process, lines = start_script(tmp_path, toys, "worker,stubborn")
    with process:
        pids = running_processes(tmp_path / "data")
        grandchild = next(int(line.split()[-1]) for line in lines if " child " in line)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        eventually(lambda: gone(pids["feeds-worker"]), 2)
        assert not gone(pids["feeds-stubborn"])
        process.send_signal(signal.SIGINT)
        assert process.wait(3) == 0
        assert time.monotonic() - began < 4
        assert "interrupted" in process.stdout.read()
    assert all(gone(pid) for pid in [*pids.values(), grandchild])


def test_a_stubborn_process_and_its_children_are_killed(tmp_path, toys, gone):
    process, lines = start_script(tmp_path, toys, "stubborn")
    with process:
        pids = running_processes(tmp_path / "data")
        grandchild = next(int(line.split()[-1]) for line in lines if " child " in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert all(gone(pid) for pid in [*pids.values(), grandchild])


@pytest.mark.slow
def test_nothing_outlives_a_killed_supervisor(tmp_path, toys, gone, eventually):
    without_postgres = {key: value for key, value in toys.items() if key == "PATH"}
    process, _ = start_script(tmp_path, without_postgres, "worker,stubborn")
    with process:
        pids = running_processes(tmp_path / "data")
        assert set(pids) == {"postgres", "valkey", "kafka", "feeds-worker", "feeds-stubborn"}
        process.kill()
    eventually(lambda: all(gone(pid) for name, pid in pids.items() if name != "feeds-stubborn"), 10)
    # A process that ignores SIGTERM runs on until the next start finds it.
    assert not gone(pids["feeds-stubborn"])
    log, stack = make_stack(tmp_path, toys, "worker")
    with stack.running():
        assert gone(pids["feeds-stubborn"])
    assert ("feeds-stubborn", "stopped") in log.states

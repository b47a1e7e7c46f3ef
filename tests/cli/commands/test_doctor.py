"""`doctor` on the real stack."""

import json
import os
import signal

import pytest

from sentineliq.local.orphans import running_processes
from tests.cli.conftest import eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_the_doctor_finds_nothing_wrong(cli):
    checks = eventually(lambda: _healthy(cli), 30)
    subjects = {check["subject"] for check in checks}
    assert {
        "PostgreSQL",
        "Valkey",
        "Kafka",
        "Beat",
        "dead letters",
        "feeds worker",
        "observables consumer",
    } <= subjects
    task = cli("doctor", "--task", "feeds.tasks.start_due_feeds")
    assert task.exit_code == 0, task.output
    assert "schedule 'start due feeds'" in task.stdout


def _healthy(cli):
    """The checks when none is a problem; on a busy machine a worker may answer too late once."""
    result = cli("doctor", "--json")
    return json.loads(result.stdout) if result.exit_code == 0 else None


def test_the_doctor_names_a_dead_worker_and_the_next_step(cli):
    pid = running_processes(cli.data_dir)["mitre-worker"]
    # Not killed: the supervisor would start another before the doctor looks.
    os.kill(pid, signal.SIGSTOP)
    try:
        result = cli("doctor", "--task", "mitre.tasks.load_release")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result.exit_code == 1
    assert "no worker answers on the queue mitre" in result.stdout
    assert "start `python -m services.mitre worker`" in result.stdout


def test_the_doctor_knows_a_misspelt_task(cli):
    result = cli("doctor", "--task", "feeds.tasks.run_fed")
    assert result.exit_code == 1
    assert "did you mean feeds.tasks.run_feed?" in result.stdout
    assert cli("doctor", "--task", "unknown.tasks.run_feed").exit_code == 1

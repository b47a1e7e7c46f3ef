"""Plant mistakes and show that the tests, or the matrix, notice each.

`python -m tests.faults.mutations [--scenarios] [MISTAKE...]` prints what noticed which mistake; the
exit code is 1 when one went unnoticed. It runs the short tests that guard against the mistake, with
`--scenarios` scenarios of the matrix on a whole installation.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.installation import temporary_installation
from tests.faults.load import Probe
from tests.faults.matrix import run
from tests.faults.mistakes import VARIABLE
from tests.faults.rows import triggers
from tests.faults.scenario import Trial

_ROOT = Path(__file__).parents[2]
_KAFKA = "tests/shared/kafka"
_SWEEPS = "tests/shared/runtime/test_sweeps.py"
_PATIENCE = 40
_TEST_SECONDS = 300
_SITE = "from tests.faults.mistakes import plant\n\nplant()\n"
"""Python imports a module `sitecustomize` when it starts: the mistake is in every process."""
_SOME_TEST_FAILED = 1
"""Pytest's exit code; others say that it could not run the tests."""

GUARDING_TESTS: dict[str, tuple[str, ...]] = {
    "acknowledge_before_commit": (
        f"{_KAFKA}/test_consumer.py::test_a_database_that_comes_back_loses_nothing",
    ),
    "delete_before_acknowledgement": (
        f"{_KAFKA}/test_outbox.py::test_what_was_not_acknowledged_is_sent_again_with_the_same_ids",
    ),
    "stop_sweeping": (
        f"{_SWEEPS}::test_the_consumer_process_sweeps_although_its_service_reads_no_topic",
    ),
    "trust_any_log": (
        f"{_KAFKA}/test_log_gaps.py::test_all_records_of_a_recreated_topic_are_applied",
    ),
    "ignore_offset_row": (
        f"{_KAFKA}/test_consumer.py::test_a_batch_that_was_applied_before_changes_nothing",
    ),
    "share_connections": (
        "tests/shared/postgres/test_silence.py::test_no_connection_survives_a_fork",
    ),
    "renew_no_lease": (
        "tests/shared/test_leases.py::test_a_keeper_renews_until_the_row_is_lost",
        "tests/mitre/imports/test_leases.py::test_a_store_that_outlasts_the_lease_keeps_it",
    ),
}
"""By mistake, the tests that guard against it: each of them has to fail."""

GUARDING_SCENARIOS: dict[str, tuple[str, ...]] = {
    "acknowledge_before_commit": ("postgres_crash", "terminated_processes"),
    "delete_before_acknowledgement": ("kafka_outage",),
    "stop_sweeping": ("valkey_flushed", "valkey_full"),
    "trust_any_log": ("recreated_topic",),
    "share_connections": ("killed_pool_children",),
    "renew_no_lease": ("long_task",),
}
"""By mistake, the scenarios of the short form that guard against it: one has to fail."""


def noticing_tests(mutation: str) -> list[str]:
    """The guarding tests that fail with a mistake.

    They use the servers that the environment names, or start their own.

    Raises:
        RuntimeError: they could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="sentineliq-mutation-") as folder:
        (Path(folder) / "sitecustomize.py").write_text(_SITE)
        path = os.pathsep.join((folder, str(_ROOT)))
        # A test run that this one is part of must not take its tests for its own.
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
        }
        command = [
            *(sys.executable, "-m", "pytest", "--numprocesses=0", "--tb=line", "-q", "-rfE"),
            *GUARDING_TESTS[mutation],
        ]
        result = subprocess.run(
            command,
            cwd=_ROOT,
            env={**environ, VARIABLE: mutation, "PYTHONPATH": path},
            check=False,
            capture_output=True,
            text=True,
            timeout=_TEST_SECONDS,
        )
    if result.returncode not in (0, _SOME_TEST_FAILED) or "Error in sitecustomize" in result.stderr:
        raise RuntimeError(f"{mutation}: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    failed = re.findall(r"^FAILED (\S+)", result.stdout, re.MULTILINE)
    if not failed and result.returncode == _SOME_TEST_FAILED:
        # An error of a fixture is no notice, and says nothing of the mistake either.
        raise RuntimeError(f"{mutation}: no test has run: {result.stdout[-2000:]}")
    return failed


def noticing_scenarios(mutation: str) -> list[str]:
    """The first guarding scenario that fails with a mistake, if any does."""
    os.environ[VARIABLE] = mutation
    try:
        with temporary_installation(preload="tests.faults.mutated") as installation:
            trial = Trial(installation, Probe(installation), patience=_PATIENCE)
            for trigger in triggers(is_long=False):
                if trigger.name not in GUARDING_SCENARIOS[mutation]:
                    continue
                if "failed" in run(trial, [trigger], slack=1e9)[trigger.name]:
                    return [trigger.name]
            return []
    finally:
        del os.environ[VARIABLE]


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant each mistake and print what noticed it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutations")
    parser.add_argument("mistakes", nargs="*", metavar="MISTAKE")
    parser.add_argument("--scenarios", action="store_true", help="run scenarios, and no tests")
    options = parser.parse_args(arguments)
    notice: Callable[[str], list[str]] = noticing_tests
    guards = GUARDING_TESTS
    if options.scenarios:
        notice = noticing_scenarios
        guards = GUARDING_SCENARIOS
    unnoticed = 0
    for mutation in options.mistakes or guards:
        notices = notice(mutation)
        unnoticed += not notices
        print(f"{mutation}: {', '.join(notices) or 'UNNOTICED'}", flush=True)
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

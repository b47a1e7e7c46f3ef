"""Faults of processes: killed, terminated, frozen, and killed by their own work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.faults.installation import Installation, wait_until
from tests.faults.load import Load
from tests.faults.oracle import Figures, Oracle
from tests.faults.scenario import Trial, pause

_CONSUMERS = ("feeds-consumer", "observables-consumer", "notifications-consumer")
_WORKERS = ("feeds-worker", "notifications-worker", "observables-worker")
_STOPS_WITHIN = 25.0


def kill(installation: Installation, name: str) -> None:
    """SIGKILL a component and all that it started."""
    os.killpg(installation.pid(name), signal.SIGKILL)


def kill_pool_children(installation: Installation, name: str) -> int:
    """SIGKILL the processes of a worker's pool; how many."""
    children = installation.children(name)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(children)


def killed_pool_children(trial: Trial) -> Figures:
    """Kill the children of a worker while their tasks run."""
    rounds = int(trial.seconds(2, 20))

    def fault(load: Load) -> float:
        for number in range(rounds):
            feed = load.serve(50, seconds=2, name=f"{load.name} child {number}")
            load.fetch(feed)
            served = load.served(feed)
            wait_until(lambda served=served: served.requests, "the task that is killed")
            kill_pool_children(trial.installation, "feeds-worker")
        if trial.is_long:  # what it was delivering waits for a minute
            kill_pool_children(trial.installation, "notifications-worker")
        return time.monotonic()

    return trial.run("pool children", fault)


def killed_workers(trial: Trial) -> Figures:
    """Kill whole workers with all their children."""

    def fault(_: Load) -> float:
        for name in _WORKERS:
            kill(trial.installation, name)
        return time.monotonic()

    return trial.run("workers", fault)


def killed_services(trial: Trial) -> Figures:
    """Kill every process of the services at the same moment."""

    def fault(_: Load) -> float:
        for service, kind in trial.installation.stack.processes:
            kill(trial.installation, f"{service}-{kind}")
        return time.monotonic()

    return trial.run("services", fault)


def terminated_processes(trial: Trial) -> Figures:
    """SIGTERM during an ingest; each process must end by itself with exit code 0."""
    installation = trial.installation
    names = (*_CONSUMERS, "feeds-worker", "observables-api")

    def fault(_: Load) -> float:
        seen = len(installation.states)
        for name in names:
            os.kill(installation.pid(name), signal.SIGTERM)

        def ends() -> dict[str, str]:
            states = installation.states[seen:]
            return {name: detail for name, state, detail in states if state == "ended"}

        wait_until(lambda: set(names) <= set(ends()), "the ends of the processes", _STOPS_WITHIN)
        failed = {name: end for name, end in ends().items() if "exit code 0" not in end}
        assert not failed, failed
        return time.monotonic()

    return trial.run("terminated", fault)


def task_that_kills_its_worker(trial: Trial) -> Figures:
    """Kill the pool whenever one feed is fetched: that run is given up, and others go on."""
    installation = trial.installation
    oracle = Oracle(installation)
    load = Load(installation, "killing task")
    feed = load.serve(10, seconds=30, name=f"{load.name} bomb")
    run = str(installation.ask("feeds", "POST", f"/v1/feeds/{feed}/runs")["id"])
    served = load.served(feed)
    deaths = 0
    with load.flowing(count=10, pause=1):
        deadline = time.monotonic() + 300
        while load.run_state(run) not in {"failed", "succeeded"}:
            assert time.monotonic() < deadline, f"the run goes on after {deaths} deaths"
            if served.requests > deaths:
                deaths = served.requests
                kill_pool_children(installation, "feeds-worker")
            time.sleep(0.1)
    assert load.run_state(run) == "failed"
    assert deaths <= 6, f"it was started {deaths} times"
    return trial.count(oracle, load, trial.probe.seconds(time.monotonic()))


def long_task(trial: Trial) -> Figures:
    """A task takes longer than its lease: no other worker may begin it a second time."""
    oracle = Oracle(trial.installation)
    load = Load(trial.installation, "long task")
    feed = load.serve(200, seconds=trial.seconds(35, 90))
    run = load.fetch(feed)
    with load.flowing(count=10, pause=1):
        wait_until(lambda: load.run_state(run) == "succeeded", "the end of a long task", 150)
    figures = trial.count(oracle, load)
    figures.duplicate += load.served(feed).requests - 1
    return figures


def frozen_processes(trial: Trial) -> Figures:
    """SIGSTOP consumers and a worker for a while, then SIGCONT."""
    names = (*_CONSUMERS, "feeds-worker")

    def fault(_: Load) -> float:
        groups = [trial.installation.pid(name) for name in names]
        for group in groups:
            os.killpg(group, signal.SIGSTOP)
        awake_at = pause(trial.seconds(6, 90))
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)
        return awake_at

    return trial.run("frozen", fault)


@contextmanager
def another(
    installation: Installation, service: str, kind: str, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A further process of a service, beside the supervisor's."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"services.{service}", kind],
        env={**installation.stack.process_environment(service, kind), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def frozen_consumer_with_successor(trial: Trial) -> Figures:
    """SIGSTOP one of two consumers in the middle: the other one must take its partitions over."""
    installation = trial.installation
    recoveries: list[float] = []

    def fault(_: Load) -> float:
        frozen = installation.pid("observables-consumer")
        with another(installation, "observables", "consumer"):
            pause(5)  # until it has joined its group
            os.killpg(frozen, signal.SIGSTOP)
            try:
                recoveries.append(trial.probe.seconds(time.monotonic()))
            finally:
                os.killpg(frozen, signal.SIGCONT)
        return time.monotonic()

    figures = trial.run("fenced", fault)
    figures.recovery_s = round(recoveries[0], 1)
    return figures


def rebalance_storm(trial: Trial) -> Figures:
    """Add and kill members of the consumer group every two seconds."""
    installation = trial.installation

    def fault(_: Load) -> float:
        end = time.monotonic() + trial.seconds(8, 60)
        while time.monotonic() < end:
            with another(installation, "observables", "consumer"):
                pause(2)
        return time.monotonic()

    return trial.run("rebalance", fault)

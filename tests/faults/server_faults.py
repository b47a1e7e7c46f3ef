"""Faults of PostgreSQL, Valkey and Kafka: killed, away for a while, frozen, full, emptied."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psutil

from tests.faults.installation import Installation, wait_until
from tests.faults.load import Load
from tests.faults.oracle import Figures
from tests.faults.process_faults import kill
from tests.faults.scenario import Trial, pause

_ANSWER_WITHIN = 8.0
"""Seconds of an API's response while its database does not answer; the promise is 5."""


@contextmanager
def outage(
    installation: Installation, name: str, number: signal.Signals = signal.SIGKILL
) -> Iterator[None]:
    """End a server, and keep it from starting until the block ends."""
    switch = installation.stack.switches[name]
    pid = installation.pid(name)
    switch.turn_off()
    try:
        if number == signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
        wait_until(lambda: not psutil.pid_exists(pid), f"the end of {name}")
        yield
    finally:
        switch.turn_on()


def _outage(
    trial: Trial, name: str, seconds: float, number: signal.Signals = signal.SIGKILL
) -> Figures:
    def fault(_: Load) -> float:
        with outage(trial.installation, name, number):
            pause(seconds)
        return time.monotonic()

    return trial.run(f"{name} outage", fault)


def valkey_outage(trial: Trial) -> Figures:
    """Valkey is away while tasks run that outlast it; the APIs go on accepting."""

    def fault(load: Load) -> float:
        feed = load.serve(50, seconds=trial.seconds(8, 65), name=f"{load.name} slow")
        load.fetch(feed)
        wait_until(lambda: load.served(feed).requests, "the task that outlasts the outage")
        refused = load.ledger.refused
        with outage(trial.installation, "valkey"):
            pause(trial.seconds(5, 60))
        assert load.ledger.refused == refused, "an API refused while only the queue was away"
        return time.monotonic()

    return trial.run("valkey outage", fault)


def valkey_flushed(trial: Trial) -> Figures:
    """FLUSHALL in the middle of everything."""

    def fault(_: Load) -> float:
        for _round in range(int(trial.seconds(2, 10))):
            assert trial.installation.valkey("FLUSHALL") == "+OK"
            pause(0.5)
        return time.monotonic()

    return trial.run("flushed", fault)


def valkey_full(trial: Trial) -> Figures:
    """Valkey refuses every write for a while."""
    installation = trial.installation

    def fault(load: Load) -> float:
        refused = load.ledger.refused
        assert installation.valkey("CONFIG", "SET", "maxmemory", "1") == "+OK"
        try:
            pause(trial.seconds(6, 60))
        finally:
            assert installation.valkey("CONFIG", "SET", "maxmemory", "0") == "+OK"
        assert load.ledger.refused == refused, "an API refused while only the queue was full"
        return time.monotonic()

    return trial.run("full queue", fault)


def kafka_outage(trial: Trial) -> Figures:
    """Kafka is killed and stays away, and the processes that publish are killed meanwhile."""
    installation = trial.installation

    def fault(_: Load) -> float:
        with outage(installation, "kafka"):
            pause(trial.seconds(3, 30))
            for name in ("feeds-consumer", "observables-consumer", "notifications-consumer"):
                kill(installation, name)
            pause(trial.seconds(3, 30))
        return time.monotonic()

    return trial.run("kafka outage", fault)


def postgres_crash(trial: Trial) -> Figures:
    """PostgreSQL is killed and recovers from its log."""
    return _outage(trial, "postgres", trial.seconds(3, 30))


def postgres_restart(trial: Trial) -> Figures:
    """PostgreSQL is restarted in order, which ends all its sessions."""
    return _outage(trial, "postgres", trial.seconds(0, 5), signal.SIGINT)


def postgres_frozen(trial: Trial) -> Figures:
    """PostgreSQL says nothing any more: APIs must answer in time, and go on when it wakes."""
    installation = trial.installation
    proxy = installation.stack.switches["postgres"].proxy

    def fault(_: Load) -> float:
        proxy.freeze()
        try:
            end = time.monotonic() + trial.seconds(12, 60)
            while time.monotonic() < end:
                _check_answers(installation)
        finally:
            proxy.thaw()
        return time.monotonic()

    return trial.run("frozen database", fault)


def _check_answers(installation: Installation) -> None:
    started = time.monotonic()
    try:
        response = installation.request("feeds", "GET", "/v1/feeds")
    except httpx2.TransportError as error:
        raise AssertionError(
            f"an API does not answer while its database is frozen: {error!r}"
        ) from error
    seconds = time.monotonic() - started
    assert response.status_code in {200, 503}, response.text
    assert seconds < _ANSWER_WITHIN, f"an API answered after {seconds:.1f} s"
    alive = installation.request("feeds", "GET", "/healthz")
    assert alive.status_code == 200, alive.text


def postgres_read_only(trial: Trial) -> Figures:
    """The database refuses every write, as a standby does: nothing may be buried for it."""
    installation = trial.installation

    def fault(_: Load) -> float:
        _set_read_only(installation, is_on=True)
        try:
            pause(trial.seconds(5, 60))
        finally:
            _set_read_only(installation, is_on=False)
        return time.monotonic()

    return trial.run("read-only", fault)


def _set_read_only(installation: Installation, *, is_on: bool) -> None:
    value = "on" if is_on else "off"
    installation.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    installation.sql("SELECT pg_reload_conf()")

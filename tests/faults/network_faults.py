"""Faults of the network: slow, half-open and cut links, and receivers that vanish."""

import time

from tests.faults.load import Load
from tests.faults.oracle import Figures
from tests.faults.scenario import Trial, pause
from tests.faults.servers import SERVERS


def slow_links(trial: Trial) -> Figures:
    """Every piece of every connection takes 100 ms in each direction, to one server at a time."""

    def fault(_: Load) -> float:
        for name in SERVERS:
            proxy = trial.installation.stack.switches[name].proxy
            proxy.delay(0.1)
            pause(trial.seconds(3, 30))
            proxy.delay(0)
        return time.monotonic()

    return trial.run("slow links", fault)


def cut_links(trial: Trial) -> Figures:
    """All connections to all servers are reset at once, again and again."""

    def fault(_: Load) -> float:
        for _round in range(int(trial.seconds(3, 20))):
            for name in SERVERS:
                trial.installation.stack.switches[name].proxy.cut()
            pause(1)
        return time.monotonic()

    return trial.run("cut links", fault)


def _half_open(trial: Trial, name: str) -> Figures:
    def fault(_: Load) -> float:
        proxy = trial.installation.stack.switches[name].proxy
        proxy.freeze()
        pause(trial.seconds(12, 60))
        # What a router forgot is reset when it is used again, and never delivered.
        proxy.cut()
        proxy.thaw()
        return time.monotonic()

    return trial.run(f"half-open {name}", fault)


def half_open_postgres(trial: Trial) -> Figures:
    """Connections to PostgreSQL stay open and carry nothing."""
    return _half_open(trial, "postgres")


def half_open_valkey(trial: Trial) -> Figures:
    """Connections to Valkey stay open and carry nothing."""
    return _half_open(trial, "valkey")


def half_open_kafka(trial: Trial) -> Figures:
    """Connections to Kafka stay open and carry nothing."""
    return _half_open(trial, "kafka")


def unanswered_webhooks(trial: Trial) -> Figures:
    """The receiver takes webhooks and closes without an answer: they come again with their id."""
    book = trial.installation.outside.book

    def fault(_: Load) -> float:
        book.resets = 3
        deadline = time.monotonic() + 60
        while book.resets and time.monotonic() < deadline:
            pause(0.1)
        assert not book.resets, "no webhook came"
        return time.monotonic()

    figures = trial.run("unanswered", fault)
    assert sum(book.posts.values()) > len(book.posts), "no webhook was sent again"
    return figures

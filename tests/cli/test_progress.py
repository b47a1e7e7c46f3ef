"""The lines of `up` and `demo`."""

import io
import json

import pytest
from rich.console import Console

from sentineliq.cli.progress import ProgressLines


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def progress(stream):
    return ProgressLines(Console(file=stream, width=300, color_system=None))


def test_news_and_warnings_are_shown_and_the_rest_is_not(progress, stream):
    progress.on_line("feeds-api", json.dumps({"event": "request", "level": "info"}))
    progress.on_line("kafka", "INFO starting")
    progress.on_line("kafka", "ERROR disk is full")
    progress.on_line(
        "feeds-worker",
        json.dumps({"event": "relay.waiting", "level": "warning", "reason": "no log"}),
    )
    run = {
        "event": "task.ended",
        "level": "info",
        "task": "feeds.tasks.run_feed",
        "result": {"status": "succeeded"},
    }
    progress.on_line("feeds-worker", json.dumps(run))
    assert [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()] == [
        "ERROR disk is full",
        "relay.waiting reason=no log",
        'task.ended task=feeds.tasks.run_feed result={"status": "succeeded"}',
    ]


def test_while_it_starts_components_may_miss_each_other(progress, stream):
    with progress.starting_up():
        progress.on_state("kafka", "starting", "")
        progress.on_line(
            "observables-consumer", json.dumps({"event": "consumer.waiting", "level": "warning"})
        )
        chatter = {
            "event": "Group Coordinator Request failed",
            "level": "error",
            "logger": "aiokafka.consumer",
        }
        progress.on_line("observables-consumer", json.dumps(chatter))
        progress.on_state("kafka", "ready", "2.1 s")
        progress.on_line(
            "feeds-api",
            json.dumps({"event": "api.broken", "level": "error", "logger": "shared.web.app"}),
        )
    lines = [line.split(maxsplit=1) for line in stream.getvalue().splitlines()]
    assert lines == [["kafka", "ready after 2.1 s"], ["feeds-api", "api.broken"]]


def test_verbose_shows_every_line(stream):
    ProgressLines(Console(file=stream, width=300), verbose=True).on_line("kafka", "INFO starting")
    assert "INFO starting" in stream.getvalue()

"""Pieces of the command line that need no stack."""

import io
import json
import re
import time
from datetime import UTC, datetime

import httpx2
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from standardwebhooks import Webhook

from sentineliq.cli import output
from sentineliq.cli.commands.feeds.subscriptions import feed_name, parse_options, seconds
from sentineliq.cli.commands.up import choose_ports
from sentineliq.cli.onboarding.webhook_receiver import WebhookReceiver
from sentineliq.cli.progress import ProgressLines
from sentineliq.local.errors import StackError

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:/()+-]*$"
"""What the feeds API takes as a name."""


def test_help_lists_every_command(cli_without_stack):
    words = {
        "up",
        "demo",
        "ingest",
        "lookup",
        "feeds",
        "observables",
        "mitre",
        "schedules",
        "notifications",
    }
    words |= {
        "events",
        "dead",
        "tokens",
        "doctor",
        "enrich",
        "enrichers",
        "enrichments",
        "policies",
    }
    said = cli_without_stack("--help").stdout
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest"],
        ["feeds", "nothing"],
        ["ingest", "x", "--confidence", "101"],
        ["dead", "retry"],
        ["schedules", "add"],
    ],
)
def test_wrong_usage_is_exit_code_2(cli_without_stack, arguments):
    assert cli_without_stack(*arguments).exit_code == 2


def test_without_a_stack_the_error_says_what_to_do(cli_without_stack):
    result = cli_without_stack("feeds", "list")
    assert result.exit_code == 1
    assert "run `sentineliq up`" in result.stderr


def test_an_installation_elsewhere_is_found_in_the_environment(cli_without_stack):
    result = cli_without_stack(
        "feeds", "list", SENTINELIQ_TOKEN="t", SENTINELIQ_FEEDS_URL="http://127.0.0.1:9"
    )
    assert result.exit_code == 1
    assert "the feeds service does not answer at http://127.0.0.1:9" in result.stderr


def test_options_are_nested_by_dots_and_typed_by_json():
    assert parse_options(
        ["columns.value=SHA-1", "header=true", "columns.tags=[3,4]", "delimiter=;"]
    ) == {
        "columns": {"value": "SHA-1", "tags": [3, 4]},
        "header": True,
        "delimiter": ";",
    }
    with pytest.raises(typer.BadParameter):
        parse_options(["header"])


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("30m", 1800), ("6h", 21600), ("1d", 86400)]
)
def test_durations(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-5", "1w", "1.5h"])
def test_what_is_no_duration(text):
    with pytest.raises(typer.BadParameter):
        seconds(text)


@given(st.text())
def test_every_file_name_gives_a_name_the_api_takes(text):
    name = feed_name(text)
    assert re.match(NAME, name)
    assert len(name) <= 120


@given(st.text())
def test_nothing_can_steer_the_terminal(text):
    assert "\x1b" not in output.clean(text)
    assert all(sign.isprintable() or sign == "\n" for sign in output.clean(text))


def test_counts_in_words():
    assert output.counted({"url": 2, "ipv4-addr": 1200}) == "1,200 ipv4-addr, 2 url"


def test_ports_can_be_moved():
    assert choose_ports(20000, ["kafka=20999"]).kafka == 20999
    assert choose_ports(20000, []).feeds == 20000
    with pytest.raises(typer.BadParameter):
        choose_ports(None, ["nobody=1"])
    with pytest.raises(StackError):
        choose_ports(80, [])


@pytest.fixture
def told():
    return io.StringIO()


@pytest.fixture
def progress(told):
    return ProgressLines(Console(file=told, width=300, color_system=None))


def test_progress_shows_news_and_worries_and_keeps_the_rest(progress, told):
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
    assert [line.split(maxsplit=1)[1] for line in told.getvalue().splitlines()] == [
        "ERROR disk is full",
        "relay.waiting reason=no log",
        'task.ended task=feeds.tasks.run_feed result={"status": "succeeded"}',
    ]


def test_while_it_starts_parts_may_miss_each_other(progress, told):
    with progress.waiting():
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
    said = [line.split(maxsplit=1) for line in told.getvalue().splitlines()]
    assert said == [["kafka", "ready after 2.1 s"], ["feeds-api", "api.broken"]]


def test_verbose_shows_every_line(told):
    ProgressLines(Console(file=told, width=300), verbose=True).on_line("kafka", "INFO starting")
    assert "INFO starting" in told.getvalue()


def test_the_sink_takes_only_what_is_signed_with_its_secret():
    body = json.dumps({"data": {"source": "Demo"}}).encode()
    with WebhookReceiver() as sink:
        sink.secret = "whsec_" + "QUJD" * 8
        wrong = "whsec_" + "REVG" * 8
        for secret, status in ((wrong, 401), (sink.secret, 204)):
            now = datetime.now(UTC)
            headers = {
                "webhook-id": "1",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(secret).sign("1", now, body.decode()),
            }
            assert httpx2.post(sink.url, content=body, headers=headers).status_code == status
        received = sink.wait_for("Demo", within=1)
        assert [one.verified for one in sink.received] == [False, True]
        assert received is not None
        assert abs(received.at - time.time()) < 5
        assert sink.wait_for("Somebody", within=0.01) is None

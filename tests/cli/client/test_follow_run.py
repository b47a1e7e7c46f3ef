"""What a person reads when a run has ended."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sentineliq.cli.client.api import Client
from sentineliq.cli.client.documents import (
    FeedRun,
    StoredCounts,
    UnitCounts,
    decode,
    left_out_lines,
)
from sentineliq.cli.client.follow_run import (
    RunFailed,
    RunOutcome,
    RunUnfinished,
    follow_attempt,
    follow_run,
)

RUN = {
    "id": "1",
    "feed": "list",
    "state": "unchanged",
    "queued_at": "2026-11-30T10:00:00Z",
    "attempts": 1,
    "requested_by": "person",
    "error": None,
    "report": None,
}
CHOICES = [
    {"format": "json", "options": {"items": '"malicious-domains"'}},
    {"format": "json", "options": {"items": "blocked_ips"}},
]


def outcome(**report) -> RunOutcome:
    run = {**RUN, "report": {"taken": 0, "seen": 0, "gone": 0, **report}}
    return RunOutcome(decode(FeedRun, run), run, StoredCounts(), 0.1)


def account(read: int, left_out: dict[str, int]) -> dict:
    return {
        "unit": "line",
        "total": read + sum(left_out.values()),
        "read": read,
        "left_out": left_out,
        "context": {},
    }


def test_a_document_of_which_nothing_was_read_is_not_called_the_same():
    line = outcome(
        dropped={"not an observable": 3},
        account=account(0, {"not an observable": 3}),
        notes=["read with the settings that the feed keeps: --option column=1"],
        examples=[{"where": "line 1", "raw": "a;b"}],
    ).line()
    assert "the same" not in line
    assert "3 lines: 0 read, 3 left out (3 not an observable)" in line
    assert "line 1 'a;b'" in line
    assert "--option column=1" in line


def test_a_document_that_was_not_read_because_it_is_the_same_is_called_so():
    assert "the same as last time" in outcome(account=None).line()


def test_units_and_values_within_them_are_one_account():
    lines = left_out_lines(
        decode(UnitCounts, account(3, {"single label": 1})),
        {"single label": 1, "not UTF-8": 1, "duplicate": 2},
    )
    assert lines == [
        "4 lines: 3 read, 1 left out (1 single label)",
        "values left out within lines: 2 duplicate, 1 not UTF-8",
    ]


@contextmanager
def feeds_service(run: dict) -> Iterator[Client]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(run).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {
        "SENTINELIQ_FEEDS_URL": f"http://127.0.0.1:{server.server_port}",
        "SENTINELIQ_TOKEN": "t",
    }
    with Client(environ, "acme") as client:
        yield client
    server.shutdown()
    server.server_close()


def test_a_refused_run_names_the_arguments_that_settle_it():
    error = {"code": "ambiguous-document", "message": "$: in doubt", "alternatives": CHOICES}
    failed = {**RUN, "state": "failed", "error": error}
    queued = {**RUN, "state": "queued"}
    with feeds_service(failed) as client, pytest.raises(RunFailed) as refusal:
        follow_run(client, queued)
    assert str(refusal.value).splitlines() == [
        "list: $: in doubt",
        "Choose one of:",
        """  --format json --option 'items="\\"malicious-domains\\""'""",
        "  --format json --option items=blocked_ips",
    ]


def test_an_attempt_that_failed_is_told_with_the_time_of_the_next_one():
    waiting = {
        **RUN,
        "state": "queued",
        "error": {"message": "the server does not answer"},
        "next_attempt_at": "2026-11-30T10:00:04+00:00",
    }
    with feeds_service(waiting) as client, pytest.raises(RunUnfinished) as caught:
        follow_attempt(client, waiting)
    assert "the server does not answer" in caught.value.message
    assert "tried again at 2026-11-30 10:00:04 UTC" in caught.value.message
    assert "`sentineliq feeds follow 1`" in caught.value.message


def test_a_fetch_that_takes_long_is_not_waited_for():
    running = {**RUN, "state": "running"}
    with feeds_service(running) as client, pytest.raises(RunUnfinished, match="goes on"):
        follow_attempt(client, running, seconds=0.2)

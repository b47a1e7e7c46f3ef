"""Follows a request by server-sent events, and by reading again where none come through."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sentineliq.cli.client.api import ApiProblem, Client
from sentineliq.cli.client.documents import EnrichmentJob, decode
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, job_line

JOB = {
    "id": "1",
    "value": "45.33.32.156",
    "enricher": "probe",
    "attempts": 0,
    "reason": None,
    "estimate": None,
}


def job(state: str, **more) -> dict:
    return {**JOB, "state": state, "outcome": "found" if state == "done" else None, **more}


@contextmanager
def service(events: bytes | None, progress: list[dict]) -> Iterator[Client]:
    """An API whose stream is these bytes; it breaks off when there are none.

    Each read of the request gives the next of `progress`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/events"):
                body = events
                if body is None:
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    self.wfile.write(b"event: jo")
                    return
            else:
                jobs = progress.pop(0) if len(progress) > 1 else progress[0]
                body = json.dumps(jobs).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {
        "SENTINELIQ_OBSERVABLES_URL": f"http://127.0.0.1:{server.server_port}",
        "SENTINELIQ_TOKEN": "t",
    }
    with Client(environ, "acme") as client:
        yield client
    server.shutdown()
    server.server_close()


def request(*jobs: dict) -> dict:
    return {
        "id": "7",
        "open": sum(job["state"] in ("waiting", "running") for job in jobs),
        "jobs": list(jobs),
    }


def test_an_event_gives_one_line_at_once():
    lines: list[str] = []
    events = (
        b"event: job\ndata: " + json.dumps(job("done")).encode() + b"\n\nevent: end\ndata: {}\n\n"
    )
    with service(events, [request(job("done"))]) as client:
        end = EnrichmentFollower(client, lines.append).follow(request(job("waiting")))
    assert end["open"] == 0
    assert lines == ["45.33.32.156  probe: answered"]


@pytest.mark.parametrize("events", [None, b""], ids=["breaks off", "is empty"])
def test_where_no_events_come_through_the_request_is_read_again(events):
    lines: list[str] = []
    waits = job("waiting", estimate="2099-01-01T00:00:00Z")
    with service(events, [request(waits), request(job("running")), request(job("done"))]) as client:
        EnrichmentFollower(client, lines.append).follow(request(waits))
    assert lines == [
        "45.33.32.156  probe: waits, probably until 2099-01-01 00:00:00",
        "45.33.32.156  probe: answered",
    ]


def test_a_refused_stream_is_an_error(tmp_path):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"title": "the token is too old"}'
            self.send_response(401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {
        "SENTINELIQ_OBSERVABLES_URL": f"http://127.0.0.1:{server.server_port}",
        "SENTINELIQ_TOKEN": "t",
    }
    with Client(environ, "acme") as client, pytest.raises(ApiProblem, match="the token is too old"):
        EnrichmentFollower(client).follow(request(job("waiting")))
    server.shutdown()
    server.server_close()


def test_a_line_says_why_a_job_is_tried_again():
    broken = {"code": "upstream-status", "message": "probe answered with HTTP 500"}
    soon = job("waiting", estimate="2000-01-01T00:00:00Z")
    assert job_line(decode(EnrichmentJob, soon)) is None
    again = job_line(decode(EnrichmentJob, {**soon, "attempts": 1, "reason": broken}))
    assert again == (
        "45.33.32.156  probe: waits, probably until 2000-01-01 00:00:00, "
        "after probe answered with HTTP 500"
    )
    failed = job_line(decode(EnrichmentJob, job("failed", reason=broken)))
    assert failed == "45.33.32.156  probe: failed: probe answered with HTTP 500"
    cancelled = job_line(decode(EnrichmentJob, job("cancelled")))
    assert cancelled == "45.33.32.156  probe: cancelled"

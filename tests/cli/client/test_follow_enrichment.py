"""Following questions: server-sent events as they come, and looking again where they do not come through."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentineliq.cli.client.api import ApiProblem, Client
from sentineliq.cli.client.event_stream import EventStream
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, line

JOB = {
    "id": "1",
    "value": "45.33.32.156",
    "enricher": "probe",
    "attempts": 0,
    "reason": None,
    "estimate": None,
}
STREAM = (
    b': ping\n\nevent: job\ndata: {"value": "\xc3\xa4"}\nid: 1\n\n'
    b'retry: 5\ndata: {"a":\ndata: 1}\n\nevent: end\r\ndata: {}\r\n\r\nevent: cut\ndata: {"never":'
)


def job(state: str, **more) -> dict:
    return {**JOB, "state": state, "outcome": "found" if state == "done" else None, **more}


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_the_stream_is_cut(cuts):
    places = sorted({0, *cuts, len(STREAM)})
    events = EventStream()
    pieces = [STREAM[start:end] for start, end in pairwise(places)]
    found = [event for piece in pieces for event in events.feed(piece)]
    assert found == [("job", {"value": "ä"}), ("message", {"a": 1}), ("end", {})]


@contextmanager
def service(events: bytes | None, progress: list[dict]) -> Iterator[Client]:
    """An API whose stream is these bytes (it breaks off when there are none), and whose progress goes on."""

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
        "open": sum(one["state"] in ("waiting", "running") for one in jobs),
        "jobs": list(jobs),
    }


def test_what_the_stream_says_is_told_at_once_and_once():
    told: list[str] = []
    events = (
        b"event: job\ndata: " + json.dumps(job("done")).encode() + b"\n\nevent: end\ndata: {}\n\n"
    )
    with service(events, [request(job("done"))]) as client:
        end = EnrichmentFollower(client, told.append).follow(request(job("waiting")))
    assert end["open"] == 0
    assert told == ["45.33.32.156  probe: answered"]


@pytest.mark.parametrize("events", [None, b""], ids=["breaks off", "says nothing"])
def test_where_no_events_come_through_it_is_looked_at_again(events):
    told: list[str] = []
    waits = job("waiting", estimate="2099-01-01T00:00:00Z")
    with service(events, [request(waits), request(job("running")), request(job("done"))]) as client:
        EnrichmentFollower(client, told.append).follow(request(waits))
    assert told == [
        "45.33.32.156  probe: waits, probably until 2099-01-01 00:00:00",
        "45.33.32.156  probe: answered",
    ]


def test_a_service_that_refuses_the_stream_is_heard(tmp_path):
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


def test_a_line_says_why_something_is_asked_again():
    broken = {"code": "upstream-status", "message": "probe answered with HTTP 500"}
    soon = job("waiting", estimate="2000-01-01T00:00:00Z")
    assert line(soon) is None
    again = line({**soon, "attempts": 1, "reason": broken})
    assert again == (
        "45.33.32.156  probe: waits, probably until 2000-01-01 00:00:00, after probe answered with HTTP 500"
    )
    assert (
        line(job("failed", reason=broken))
        == "45.33.32.156  probe: failed: probe answered with HTTP 500"
    )
    assert line(job("cancelled")) == "45.33.32.156  probe: cancelled"

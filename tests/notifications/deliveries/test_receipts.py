"""What a receiver calls its message may be anything, and disturbs nobody else's delivery."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.testclient import TestClient

from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver


@pytest.fixture(
    params=[b'"a\\u0000b"', b'"\\ud800"', b'"' + b"x" * 100_000 + b'"'],
    ids=["null", "surrogate", "long"],
)
def hive(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers as TheHive does, with a strange id."""
    answer = b'{"_id": ' + request.param + b"}"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(201)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_strange_receipt_costs_nobody_a_result(
    bench: Bench, receiver: Receiver, hive: str, client_for: Callable[..., TestClient]
) -> None:
    evil = client_for("notifications", tenant="evil", role="analyst")
    key = {"api_key": "k" * 20}
    bad = bench.channel("", api=evil, kind="thehive", config={"url": hive}, credentials=key)
    _, rule, feed = bench.hook(receiver)
    bench.rule(bad, api=evil, sources=[feed])
    for _ in range(5):
        bench.handle(bench.event(feed))
    bench.deliver()
    assert [row["state"] for row in bench.ledger(rule)] == ["delivered"] * 5
    assert len(receiver.received) == 5

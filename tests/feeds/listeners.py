"""Servers on loopback that count where a secret arrives."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


class Listener:
    """A server.

    Attributes:
        url: its address, without a path.
        requests: every request's head, as it came.
        answer: computes status, headers and body from the path.
    """

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.url = ""

    def count(self, secret: str) -> int:
        """How many requests carried a secret."""
        return sum(secret in request for request in self.requests)


@contextmanager
def listening(answer: Callable[[str], Answer]) -> Iterator[Listener]:
    """Run a listener on a port of its own."""
    listener = Listener(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.requests.append(f"{self.requestline}\n{self.headers}")
            status, headers, body = listener.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""What is outside the platform: a receiver of webhooks with its book, and a provider of lists."""

import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ReceiverBook:
    """All that a receiver was sent, by path.

    Attributes:
        bodies: by path and webhook-id.
        posts: how often each webhook-id came.
        resets: how many requests are still to be read and then left without an answer.
    """

    bodies: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    posts: Counter[str] = field(default_factory=Counter)
    resets: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, path: str, message_id: str, body: Any) -> bool:
        """Enter a webhook; whether it is answered."""
        with self._lock:
            self.bodies[path][message_id] = body
            self.posts[message_id] += 1
            if self.resets:
                self.resets -= 1
                return False
            return True

    def matches(self, path: str) -> int:
        """The matches that were announced under a path; a repeated id counts once."""
        with self._lock:
            return sum(body["data"]["match_count"] for body in self.bodies[path].values())

    def repeats(self, path: str) -> int:
        """Webhooks under a path that came again with the same id."""
        with self._lock:
            return sum(self.posts[message_id] - 1 for message_id in self.bodies[path])


@dataclass
class ServedList:
    """A list as the provider serves it.

    Attributes:
        lines: its values.
        seconds: over how long a response is spread.
        requests: how many were received.
    """

    lines: list[str]
    seconds: float = 0.0
    requests: int = 0


class Outside:
    """Both servers on one port: `POST /hook/…` and `GET /list/…`.

    Args:
        host: the address on which they listen.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.book = ReceiverBook()
        self.lists: dict[str, ServedList] = {}
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outside.book.enter(self.path, self.headers["webhook-id"], body):
                    self.send_response(204)
                    self.end_headers()
                else:
                    self.close_connection = True

            def do_GET(self) -> None:
                served = outside.lists[self.path]
                served.requests += 1
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                outside.write(served, self.wfile)

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the client was killed, which is what these tests are for
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def write(served: ServedList, output: Any) -> None:
        """Write a list, in ten pieces a second."""
        pieces = max(1, round(served.seconds * 10))
        lines = list(served.lines)
        size = -(-len(lines) // pieces)
        for start in range(0, len(lines), size):
            piece = lines[start : start + size]
            output.write("".join(f"{line}\n" for line in piece).encode())
            output.flush()
            if served.seconds:
                time.sleep(0.1)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

"""A real HTTP server on loopback that answers as a vendor's does, and may hang up after accepting.

A vendor is a class with `answer`, which checks what the vendor's documentation limits, keeps what
it accepts, and raises `Refused` otherwise.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Refused(Exception):
    """The vendor refuses a request."""

    def __init__(self, status: int, answer: Any = None) -> None:
        super().__init__(status, answer)
        self.status = status
        self.answer = answer


@dataclass
class VendorRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def require(condition: object, reason: str, status: int = 400) -> None:
    if not condition:
        raise Refused(status, {"error": reason})


class Vendor:
    """The base of vendors.

    Attributes:
        url: the server's address.
        accepted: the requests that had an effect.
        hangs_up: whether it closes the next connection after it has accepted a request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: list[VendorRequest] = []
        self.hangs_up = False

    def forget(self) -> None:
        """Begin anew."""
        type(self).__init__(self, self.url)

    @property
    def incidents(self) -> int:
        """How many messages, tickets or alerts there are."""
        return len(self.accepted)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        raise NotImplementedError

    def visible(self, request: VendorRequest) -> str:
        """What a person reads of a request that was accepted."""
        return request.body.decode()

    def pings(self, request: VendorRequest) -> list[str]:  # noqa: ARG002
        """The mentions that the vendor would resolve."""
        return []


@contextmanager
def running(kind: type[Vendor]) -> Iterator[Vendor]:
    """A vendor's server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = VendorRequest(self.command, self.path, headers, body)
            count = len(vendor.accepted)
            try:
                status, document = vendor.answer(request)
            except Refused as refusal:
                status = refusal.status
                document = refusal.answer
            if vendor.hangs_up and len(vendor.accepted) > count:
                vendor.hangs_up = False
                self.close_connection = True
                return
            content = document.encode() if isinstance(document, str) else json.dumps(document)
            content = content if isinstance(content, bytes) else content.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815  # the base class names it
        do_PUT = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    vendor = kind(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Health checks of processes without an API, for supervisors and orchestrators."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app

from shared.errors import SentinelIQError, Unavailable

_MAX_CONNECTIONS: Final = 32
_ready = threading.Event()


def notify_ready() -> None:
    """Tell the supervisor and later probes that this process is ready.

    Source: sd_notify(3) of systemd: a datagram `READY=1` to the socket named in `NOTIFY_SOCKET`.
    """
    _ready.set()
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            # A leading @ stands for the NUL of an abstract socket.
            target = f"\0{address[1:]}" if address.startswith("@") else address
            notify.sendto(b"READY=1", target)


def _check_ready(check: Callable[[], None]) -> None:
    if not _ready.is_set():
        raise Unavailable("The process is starting.")
    check()


class _ProbeServer(ThreadingMixIn, WSGIServer):
    """Answers each connection from a thread of its own.

    A connection that says nothing keeps a thread until its time-out. There are few such threads:
    the oldest connection ends for a new one.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= _MAX_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with suppress(OSError):  # it has ended by itself
                    oldest.shutdown(socket.SHUT_RDWR)
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that end before their answer."""


class _QuietHandler(WSGIRequestHandler):
    timeout = 5
    """Seconds of silence after which a connection ends."""

    def log_message(self, *_: object) -> None:
        """Log nothing: probes come every few seconds."""


def serve_probes(
    port: int, check: Callable[[], None], registry: CollectorRegistry = REGISTRY
) -> None:
    """Serve `/healthz`, `/readyz` and `/metrics` from a thread of this process.

    Args:
        port: on all interfaces, since orchestrators probe from outside.
        check: raises a `SentinelIQError` while the process is not ready. It uses nothing that the
            process's own work uses, or a fork inherits.
        registry: the metrics to serve.
    """
    metrics: WSGIApplication = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        status = "200 OK"
        body = b"ok"
        if path == "/readyz":
            try:
                _check_ready(check)
            except SentinelIQError as error:
                status = "503 Service Unavailable"
                body = error.message.encode()
        elif path != "/healthz":
            status = "404 Not Found"
            body = b"not found"
        start_response(status, [("Content-Type", "text/plain")])
        return [body]

    host = "0.0.0.0"  # noqa: S104  # see `port`
    server = make_server(host, port, app, server_class=_ProbeServer, handler_class=_QuietHandler)
    # A child that outlives this process must not keep its port.
    os.register_at_fork(after_in_child=server.socket.close)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()

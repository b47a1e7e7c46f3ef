"""Health of processes that have no API of their own: readiness for supervisors, probes for orchestrators."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app

from shared.errors import SentinelIQError, Unavailable

_ready = threading.Event()


def notify_ready() -> None:
    """Tell the supervisor, and whoever probes, that this process does its work now.

    Source: systemd's sd_notify(3): a datagram `READY=1` to the socket named in `NOTIFY_SOCKET`.
    """
    _ready.set()
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(
                b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address
            )


def _check(check: Callable[[], None]) -> None:
    if not _ready.is_set():
        raise Unavailable("The process is starting.")
    check()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Probes come every few seconds and say nothing worth a line."""


def serve_probes(
    port: int, check: Callable[[], None], registry: CollectorRegistry = REGISTRY
) -> None:
    """Answer `/healthz`, `/readyz` and `/metrics` from a thread of this process.

    Args:
        port: on all interfaces, since an orchestrator asks from outside.
        check: raises a `SentinelIQError` while the process is not ready.
        registry: of the metrics.
    """
    metrics: WSGIApplication = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        status, body = "200 OK", b"ok"
        if path == "/readyz":
            try:
                _check(check)
            except SentinelIQError as error:
                status, body = "503 Service Unavailable", error.message.encode()
        elif path != "/healthz":
            status, body = "404 Not Found", b"not found"
        start_response(status, [("Content-Type", "text/plain")])
        return [body]

    server = make_server("0.0.0.0", port, app, handler_class=_Quiet)  # noqa: S104  # containers are probed from outside
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()

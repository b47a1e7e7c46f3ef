"""Health checks of processes without an API, for supervisors and orchestrators."""

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


class _QuietHandler(WSGIRequestHandler):
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
    server = make_server(host, port, app, handler_class=_QuietHandler)
    # A child that outlives this process must not keep its port.
    os.register_at_fork(after_in_child=server.socket.close)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()

"""Reconciliation against real HTTP servers."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.scheduler.reconciliation.service import reconcile_services
from shared.auth import Role, verify_token
from shared.settings import Settings


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = (self.path, self.headers["Authorization"])
        self.server.requests.append(request)  # type: ignore[attr-defined]
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack:

        def start(status: int, body: bytes) -> ThreadingHTTPServer:
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _Service))
            server.requests = []  # type: ignore[attr-defined]
            server.answer = (status, body)  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


def test_one_dead_service_does_not_stop_the_others(settings: Settings, serve: Callable[..., Any]):
    good = serve(200, b'{"status": "ok", "enqueued": 3}')
    broken = serve(500, b"oops")
    page = serve(200, b"<html>")
    urls = {
        name: f"http://127.0.0.1:{server.server_port}"
        for name, server in (("a", good), ("b", broken), ("c", page))
    }
    reached = settings.model_copy(
        update={
            "feeds_url": urls["a"],
            "observables_url": urls["b"],
            "notifications_url": "http://127.0.0.1:1",
            "mitre_url": urls["c"],
        }
    )
    result = asyncio.run(reconcile_services(reached))
    assert result.status == "degraded"
    assert result.services["feeds"] == {"status": "ok", "enqueued": 3}
    errors = {
        name: answer["error"]["code"]
        for name, answer in result.services.items()
        if "error" in answer
    }
    assert errors == {
        "observables": "upstream-status",
        "notifications": "upstream-unreachable",
        "mitre": "upstream-bad-body",
    }
    ((path, header),) = good.requests
    principal = verify_token(settings.secret_key, header.removeprefix("Bearer "))
    assert (path, principal.actor, principal.role) == ("/v1/reconcile", "scheduler", Role.operator)


def test_all_well(settings: Settings, serve: Callable[..., Any]):
    server = serve(200, b'{"status": "ok", "enqueued": 0}')
    url = f"http://127.0.0.1:{server.server_port}"
    names = ("feeds_url", "observables_url", "notifications_url", "mitre_url")
    result = asyncio.run(reconcile_services(settings.model_copy(update=dict.fromkeys(names, url))))
    assert result.status == "ok"
    assert set(result.services) == {"feeds", "observables", "notifications", "mitre"}

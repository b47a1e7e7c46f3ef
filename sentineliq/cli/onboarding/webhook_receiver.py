"""A webhook receiver on the loopback address that verifies signatures, for the demonstration."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook, WebhookVerificationError

from sentineliq.local.server import LOOPBACK

MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class ReceivedWebhook:
    """One webhook.

    Attributes:
        at: when it arrived, in seconds since 1970.
        verified: whether its signature is the channel's.
    """

    at: float
    verified: bool
    document: dict[str, Any]

    @property
    def source(self) -> str:
        """Name of the feed that caused it."""
        return str(self.document.get("data", {}).get("source", ""))


class WebhookReceiver:
    """Listens on a free port while it is used as a context manager.

    Set `secret` when the channel is created.
    """

    def __init__(self) -> None:
        self.secret = ""
        self._received: list[ReceivedWebhook] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="webhook-receiver", daemon=True
        )

    @property
    def url(self) -> str:
        """The address that webhooks are sent to."""
        return f"http://{LOOPBACK}:{self._server.server_port}/hook"

    @property
    def received(self) -> list[ReceivedWebhook]:
        """The webhooks so far."""
        with self._arrived:
            return list(self._received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, source: str, within: float) -> ReceivedWebhook | None:
        """The first webhook that a feed caused; None when none arrives within `within` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._first(source), within)
            return self._first(source)

    def _first(self, source: str) -> ReceivedWebhook | None:
        return next((webhook for webhook in self._received if webhook.source == source), None)

    def receive(self, body: bytes, headers: dict[str, str]) -> bool:
        """Record a webhook; returns whether its signature is right."""
        at = time.time()
        document: dict[str, Any] = {}
        try:
            Webhook(self.secret).verify(body, headers)
            document = json.loads(body)
            verified = True
        except (WebhookVerificationError, ValueError):
            verified = False
        with self._arrived:
            self._received.append(ReceivedWebhook(at, verified, document))
            self._arrived.notify_all()
        return verified


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("content-length", 0)), MAX_BYTES)
            headers = {name.lower(): value for name, value in self.headers.items()}
            verified = receiver.receive(self.rfile.read(length), headers)
            self.send_response(204 if verified else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing: the demonstration prints what arrived."""

    return Handler

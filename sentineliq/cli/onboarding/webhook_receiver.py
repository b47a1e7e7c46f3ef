"""A receiver of webhooks on the loopback address, for the demonstration: checks signatures as a real one should."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook, WebhookVerificationError

from sentineliq.local.launcher import LOOPBACK

MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class ReceivedWebhook:
    """One webhook that came in.

    Attributes:
        at: seconds since 1970.
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
    """Listens on a free port while it is used as a context manager; `secret` is set when the channel is made."""

    def __init__(self) -> None:
        self.secret = ""
        self._received: list[ReceivedWebhook] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="webhook-sink", daemon=True
        )

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return f"http://{LOOPBACK}:{self._server.server_port}/hook"

    @property
    def received(self) -> list[ReceivedWebhook]:
        """What came in so far."""
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
        """The first webhook that a feed caused; None when none comes within `within` seconds."""

        def found() -> ReceivedWebhook | None:
            return next((one for one in self._received if one.source == source), None)

        with self._arrived:
            self._arrived.wait_for(found, within)
            return found()

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Note a webhook; whether its signature is right."""
        at = time.time()
        try:
            Webhook(self.secret).verify(body, headers)
            document, verified = json.loads(body), True
        except (WebhookVerificationError, ValueError):
            document, verified = {}, False
        with self._arrived:
            self._received.append(ReceivedWebhook(at, verified, document))
            self._arrived.notify_all()
        return verified


def _handler(sink: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("content-length", 0)), MAX_BYTES)
            headers = {name.lower(): value for name, value in self.headers.items()}
            verified = sink.take(self.rfile.read(length), headers)
            self.send_response(204 if verified else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The demonstration itself says what came in."""

    return Handler

"""Streams of changes over HTTP, as browsers read them (HTML, server-sent events)."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.console.identity import IdentityDoor
from services.gateway.console.live_events import resume_time
from services.gateway.console.live_hub import ENDED, LiveHub, LiveStream
from services.gateway.console.sessions import ConsoleSession
from shared.auth import Principal
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_BEGIN: Final = b"retry: 1000\nevent: hello\ndata: {}\n\n"
_PULSE: Final = b"event: pulse\ndata: {}\n\n"
_PULSE_SECONDS: Final = 1.0
"""Pages that hear nothing for three seconds say so."""
_SEND_SECONDS: Final = 10.0
"""Time in which a browser reads what waits for it."""
_REVIEW_SECONDS: Final = 2.0
_MAX_STREAM_SECONDS: Final = 3_600.0
_TYPE: Final = "text/event-stream"
_TRUST: Final = "sentineliq.trust"


class LiveDoor:
    """Opens streams for who is signed in, and ends those of who no longer is.

    Args:
        settings: the address of the log, and the keys.
        identity: knows whose sessions have ended.
    """

    def __init__(self, settings: Settings, identity: IdentityDoor) -> None:
        self._hub = LiveHub(settings)
        self._identity = identity
        self._review: asyncio.Task[None] | None = None

    def answer(self, request: Request, session: ConsoleSession) -> Response:
        """Answer a browser that listens.

        Args:
            request: with the id of the last event, or the time of the page.
            session: of the browser.

        Raises:
            Unavailable: too many listen.
        """
        principal = session.principal
        if principal is None:
            return Response(_BEGIN + ENDED, media_type=_TYPE)
        trust = request.scope.get("extensions", {}).get(_TRUST)
        if trust is not None:
            trust()
        event_id = request.headers.get("last-event-id", "")
        page_time = request.query_params.get("since", "")
        since = resume_time(event_id, page_time, int(time.time() * 1000))
        stream = self._hub.open(principal, session.credential, since)
        if self._review is None or self._review.done():
            self._review = asyncio.get_running_loop().create_task(self._review_sessions())
        return _StreamResponse(self._hub, stream)

    def end_streams(self) -> None:
        """End all streams, since the process ends."""
        self._hub.end_all()

    async def close(self) -> None:
        """End what runs beside the requests."""
        await self._hub.stop()
        if self._review is not None:
            self._review.cancel()
            with suppress(asyncio.CancelledError):
                await self._review

    async def _review_sessions(self) -> None:
        """End the streams whose sessions have ended, as long as there are streams."""
        while self._hub.streams:
            await asyncio.sleep(_REVIEW_SECONDS)
            credentials = {stream.credential for stream in self._hub.streams}
            try:
                present = await self._identity.review(credentials)
            except Exception as error:  # noqa: BLE001  # whatever fails, streams go on
                # While the database is away nobody is signed out; pages say that it is.
                log.warning("live.review_failed", error=repr(error))
                continue
            for stream in self._hub.streams:
                if _has_changed(stream.principal, present.get(stream.credential)):
                    stream.end("session", ENDED)


def _has_changed(before: Principal, now: Principal | None) -> bool:
    return now is None or (now.actor, now.tenant, now.role) != (
        before.actor,
        before.tenant,
        before.role,
    )


class _StreamResponse(Response):
    """A stream that lasts until its browser leaves, is slow, or is signed out."""

    media_type = _TYPE

    def __init__(self, hub: LiveHub, stream: LiveStream) -> None:
        super().__init__()
        self._hub = hub
        self._stream = stream
        del self.headers["content-length"]
        self.headers["X-Accel-Buffering"] = "no"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        leaving = asyncio.create_task(_wait_until_gone(receive))
        telling = asyncio.create_task(self._tell(send))
        try:
            await asyncio.wait({leaving, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            telling.cancel()
            self._hub.close(self._stream)
        if telling.done() and not telling.cancelled():
            telling.result()

    async def _tell(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send_in_time(send, _BEGIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_STREAM_SECONDS):
                await self._tell_changes(send)
        with suppress(TimeoutError):
            await _send_in_time(send, self._stream.rest(), is_last=True)

    async def _tell_changes(self, send: Send) -> None:
        while not self._stream.end_reason:
            events = await self._stream.take(_PULSE_SECONDS)
            try:
                await _send_in_time(send, events or _PULSE)
            except TimeoutError:
                self._stream.end("slow")


async def _send_in_time(send: Send, content: bytes, *, is_last: bool = False) -> None:
    message: Mapping[str, object] = {
        "type": "http.response.body",
        "body": content,
        "more_body": not is_last,
    }
    async with asyncio.timeout(_SEND_SECONDS):
        await send(dict(message))


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The OpenAPI document of the whole installation, as the bytes that clients get.

Anybody may fetch it, and to make it costs a second of one core. So requests never make it: it is
merged and encoded in a thread, once for all who wait, and kept. When its time is over, clients get
the one of before until the next one is there.
"""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from services.gateway.routing.document import merge_documents
from services.gateway.routing.upstreams import Upstreams

_GOOD_SECONDS: Final = 60.0
"""How long a document is good."""
_PARTIAL_SECONDS: Final = 5.0
"""How long one is good that lacks a service, which may answer soon."""

Headers = list[tuple[bytes, bytes]]


class EncodedDocument(NamedTuple):
    """A document as it goes out.

    Attributes:
        body: JSON.
        tag: its entity tag (RFC 9110, 8.8.3).
        seconds: how long it is good.
    """

    body: bytes
    tag: str
    seconds: float


class WholeDocument:
    """The document, and when it is made again.

    Args:
        app: the gateway's own API.
        upstreams: the services.
    """

    def __init__(self, app: FastAPI, upstreams: Upstreams) -> None:
        self._app = app
        self._upstreams = upstreams
        self._encoded: EncodedDocument | None = None
        self._good_until = 0.0
        self._refresh: asyncio.Task[None] | None = None

    async def answer(self, headers: Headers) -> Response:
        """Answer a request; one that has the document already gets no body.

        Args:
            headers: of the request, with names in lower case.
        """
        encoded = await self._current()
        described = {"etag": encoded.tag, "cache-control": "no-cache"}
        if _has_tag(headers, encoded.tag):
            return Response(status_code=304, headers=described)
        return Response(encoded.body, headers=described, media_type="application/json")

    async def _current(self) -> EncodedDocument:
        is_running = self._refresh is not None and not self._refresh.done()
        is_due = self._encoded is None or asyncio.get_running_loop().time() >= self._good_until
        if is_due and not is_running:
            self._refresh = asyncio.create_task(self._make())
        while self._encoded is None:
            assert self._refresh is not None  # noqa: S101  # without a document it is due
            # A client that goes away does not end it for the others.
            await asyncio.shield(self._refresh)
        return self._encoded

    async def _make(self) -> None:
        services = await self._upstreams.documents()
        encoded = await asyncio.to_thread(encode_document, self._app, services)
        self._good_until = asyncio.get_running_loop().time() + encoded.seconds
        self._encoded = encoded


def encode_document(app: FastAPI, services: Mapping[str, dict[str, Any] | None]) -> EncodedDocument:
    """Merge and encode the documents of all services.

    Args:
        app: the gateway's own API.
        services: by name; None for one that does not answer.
    """
    body = msgspec.json.encode(merge_documents(app.openapi(), services))
    is_whole = all(document is not None for document in services.values())
    seconds = _GOOD_SECONDS if is_whole else _PARTIAL_SECONDS
    return EncodedDocument(body, f'"{sha256(body).hexdigest()[:32]}"', seconds)


def _has_tag(headers: Headers, tag: str) -> bool:
    values = [value.decode("latin-1") for name, value in headers if name == b"if-none-match"]
    tags = {text.strip().removeprefix("W/") for text in ",".join(values).split(",")}
    return tag in tags or "*" in tags

"""The one way out: every request to somebody else's server goes through `GuardedClient`."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

import httpcore2

from shared.http.decode import Decoder
from shared.http.errors import TooLarge, TooManyRedirects, UpstreamStatus
from shared.http.guard import DEFAULT_PORTS, Network, OutboundPolicy
from shared.http.limits import MIB, Limits
from shared.http.outgoing import REDIRECTS, Outgoing
from shared.http.response import Download, Headers, Response, StreamedResponse, translate_errors
from shared.http.transport import PinnedBackend, Resolver, resolve, tls_context

DEFAULT_MAX_BODY = 10 * MIB


class GuardedClient:
    """Fetches from public addresses, within limits, and gives no credential to anybody they are not meant for.

    An async context manager; connections are kept and reused inside it. Proxy variables are not read.

    Args:
        allow: networks that may be reached although they are not public, on any port.
        limits: of every request that brings none of its own.
        resolver: how names become addresses; the system's resolver by default.
        ports: ports that may be reached on public addresses.
        ca: PEM file of certificate authorities trusted in addition to the system's.
        certificate: PEM files of a client certificate and its key, shown to the origin that was asked for only.
        connections: open at once; further requests wait for one of them.
    """

    def __init__(
        self,
        allow: Sequence[Network] = (),
        limits: Limits = Limits(),  # noqa: B008  # frozen
        resolver: Resolver | None = None,
        *,
        ports: frozenset[int] = DEFAULT_PORTS,
        ca: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        connections: int = 20,
    ) -> None:
        self._limits = limits
        backend = PinnedBackend(OutboundPolicy(tuple(allow), ports), resolver or resolve)
        self._pool = self._abroad = _pool(backend, ca, certificate, connections)
        if certificate:
            self._abroad = _pool(backend, ca, None, connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.aclose()
        await self._abroad.aclose()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        auth_headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Sends a request and gives its answer, whatever the status, with the body still to be read.

        Args:
            method: in capitals.
            url: http or https, without user and password.
            headers: sent along redirects, except those whose name sounds secret on another origin.
            content: the body.
            auth_headers: credentials, sent to this URL's scheme, host and port and nowhere else.
            limits: instead of the client's.

        Raises:
            ForbiddenTarget, TooManyRedirects, Unreachable, Untrusted, TimedOut, TooLarge, BadBody: no usable answer.
            InvalidInput: the request cannot be sent.
        """
        limits = limits or self._limits
        request = Outgoing.make(method, url, headers, auth_headers, content)
        deadline = asyncio.get_running_loop().time() + limits.total
        request, raw = await self._follow(request, limits, deadline)
        try:
            yield _streamed(request, raw, limits, deadline)
        finally:
            await raw.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        auth_headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        max_body: int = DEFAULT_MAX_BODY,
    ) -> Response:
        """Like `stream`, with the decoded body in memory.

        Raises:
            TooLarge: the body has more than `max_body` bytes. Otherwise as `stream`.
        """
        async with self.stream(
            method, url, headers=headers, content=content, auth_headers=auth_headers, limits=limits
        ) as answer:
            body = bytearray()
            async for piece in answer.iter_bytes():
                if len(body) + len(piece) > max_body:
                    raise TooLarge(
                        f"the answer of {answer.target.origin} is larger than {max_body:,} bytes"
                    )
                body += piece
            return Response(answer.status, answer.headers, answer.target, bytes(body))

    async def download(
        self,
        url: str,
        path: Path,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        content: bytes | None = None,
        auth_headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Download:
        """Fetches into a file that appears, or is replaced, only when it is complete.

        Args:
            url: as for `stream`.
            path: the file; its folder exists.
            headers: If-None-Match and If-Modified-Since make the fetch conditional.
            method: POST for services that want a question.
            content: the question.
            auth_headers: as for `stream`.
            limits: instead of the client's.

        Returns:
            The figures; with status 304 nothing was written.

        Raises:
            UpstreamStatus: the status is neither 200 nor 304. Otherwise as `stream`.
        """
        async with self.stream(
            method, url, headers=headers, content=content, auth_headers=auth_headers, limits=limits
        ) as answer:
            if answer.status == 304:
                return Download(304, answer.headers, answer.target, 0, 0, "")
            answer.raise_for_status()
            if answer.status != 200:  # 204 and 206 are no whole file
                raise UpstreamStatus(answer.status, origin=answer.target.origin)
            sha256 = await _save(answer, path)
            received, expanded = answer.decoder.received, answer.decoder.expanded
            return Download(200, answer.headers, answer.target, received, expanded, sha256)

    async def _follow(
        self, request: Outgoing, limits: Limits, deadline: float
    ) -> tuple[Outgoing, httpcore2.Response]:
        for _ in range(limits.redirects + 1):
            raw = await self._send(request, limits, deadline)
            location = Headers(raw.headers).get("location")
            if raw.status not in REDIRECTS or location is None or limits.redirects == 0:
                return request, raw
            await raw.aclose()  # unread: a redirect's body is nobody's business
            request = request.redirected(location, raw.status)
        raise TooManyRedirects(
            f"{request.target.origin} still redirects after {limits.redirects} hops",
            origin=request.target.origin,
        )

    async def _send(self, request: Outgoing, limits: Limits, deadline: float) -> httpcore2.Response:
        pool = self._pool if request.at_home else self._abroad
        with translate_errors(request.target.origin):
            async with asyncio.timeout_at(deadline):
                return await pool.handle_async_request(request.as_httpcore(limits.connect))


def _pool(
    backend: PinnedBackend, ca: Path | None, certificate: tuple[Path, Path] | None, connections: int
) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        tls_context(ca, certificate),
        network_backend=backend,
        max_connections=connections,
        keepalive_expiry=15.0,
    )


def _streamed(
    request: Outgoing, raw: httpcore2.Response, limits: Limits, deadline: float
) -> StreamedResponse:
    headers = Headers(raw.headers)
    what = f"the answer of {request.target.origin}"
    if request.method != "HEAD" and int(headers.get("content-length", 0)) > limits.max_bytes:
        raise TooLarge(f"{what} is larger than {limits.max_bytes:,} bytes")
    decoder = Decoder(headers.get("content-encoding", ""), limits, what)
    return StreamedResponse(
        raw.status, headers, request.target, decoder, raw.aiter_stream(), deadline
    )


async def _save(answer: StreamedResponse, path: Path) -> str:
    """Writes the body beside `path` and moves it there when complete; returns its SHA-256."""
    partial = path.with_name(f".{path.name}.{token_hex(4)}.part")
    digest = hashlib.sha256()
    try:
        with partial.open("xb") as file:  # into the page cache, piece by piece
            async for piece in answer.iter_bytes():
                digest.update(piece)
                file.write(piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()

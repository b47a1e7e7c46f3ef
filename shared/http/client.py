"""The client of all outbound HTTP: every request goes through `GuardedClient`."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

import httpcore2

from shared.http.decode import Decoder
from shared.http.errors import TooLarge, TooManyRedirects, UpstreamStatus
from shared.http.guard import DEFAULT_PORTS, Allowance, OutboundPolicy
from shared.http.limits import MIB, Limits
from shared.http.outgoing import REDIRECTS, Outgoing
from shared.http.response import Download, Headers, Response, StreamedResponse, translate_errors
from shared.http.transport import PinnedBackend, Resolver, connect_socket, resolve, tls_context

DEFAULT_MAX_BODY = 10 * MIB


class GuardedClient:
    """Fetches from public addresses, within limits, and sends credentials to their origin only.

    An async context manager that keeps and reuses connections. Proxy variables are not read.

    Args:
        allow: what may be reached although it is not public: networks, on any port, and grants.
        limits: limits of requests without their own.
        resolver: resolves names to addresses; the system's resolver by default.
        ports: ports that may be reached on public addresses.
        ca: PEM file of certificate authorities trusted in addition to the system's.
        certificate: PEM files of a client certificate and its key, sent to a request's first origin
            only, not to those it redirects to.
        home: the only origin that the certificate is sent to; None for that of each request.
        connections: the number of open connections; further requests wait.
    """

    def __init__(  # noqa: PLR0913  # options of one client
        self,
        allow: Sequence[Allowance] = (),
        limits: Limits = Limits(),  # noqa: B008  # frozen
        resolver: Resolver | None = None,
        *,
        ports: frozenset[int] = DEFAULT_PORTS,
        ca: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        home: str | None = None,
        connections: int = 20,
    ) -> None:
        self._limits = limits
        self._home = home
        self._allow = tuple(allow)
        self._resolver = resolver or resolve
        backend = PinnedBackend(OutboundPolicy(self._allow, ports), self._resolver)
        self._pool = self._abroad = _pool(backend, ca, certificate, connections)
        if certificate:
            self._abroad = _pool(backend, ca, None, connections)

    @property
    def allow(self) -> tuple[Allowance, ...]:
        """What may be reached although it is not public."""
        return self._allow

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
        """Send a request; yield the response, of any status, before its body is read.

        Args:
            method: in upper case.
            url: http or https, without user and password.
            headers: sent along redirects; on another origin without those that may be secret.
            content: the body.
            auth_headers: credentials, sent to this URL's scheme, host and port only.
            limits: instead of the client's.

        Raises:
            ForbiddenTarget, TooManyRedirects, Unreachable, Untrusted, TimedOut, TooLarge, BadBody:
                there is no usable response.
            InvalidInput: the request cannot be sent.
        """
        limits = limits or self._limits
        request = Outgoing.make(method, url, headers, auth_headers, content)
        now = asyncio.get_running_loop().time()
        deadline = now + limits.total
        head = deadline if limits.head is None else min(deadline, now + limits.head)
        request, raw = await self._follow(request, limits, head)
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
        """Send a request; return the response with its decoded body.

        Raises:
            TooLarge: the body exceeds `max_body` bytes. Other errors as in `stream`.
        """
        async with self.stream(
            method, url, headers=headers, content=content, auth_headers=auth_headers, limits=limits
        ) as response:
            body = bytearray()
            async for piece in response.iter_bytes():
                if len(body) + len(piece) > max_body:
                    raise TooLarge(
                        f"the answer of {response.target.origin} is larger than {max_body:,} bytes"
                    )
                body += piece
            return Response(response.status, response.headers, response.target, bytes(body))

    async def connect(
        self, host: str, port: int, *, ports: frozenset[int], seconds: float | None = None
    ) -> socket.socket:
        """Open a TCP connection to a vetted address, for protocols other than HTTP.

        The caller closes the socket, which is not blocking.

        Args:
            host: a name or an address.
            port: of the host.
            ports: ports that may be reached on public addresses.
            seconds: for resolving and connecting; None takes the client's limit.

        Raises:
            ForbiddenTarget: an address of the host, or the port, may not be reached.
            Unreachable, TimedOut: there is no connection.
        """
        policy = OutboundPolicy(self._allow, ports)
        limit = self._limits.connect if seconds is None else seconds
        return await connect_socket(policy, self._resolver, host, port, limit)

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
        """Fetch into a file that appears, or is replaced, only when it is complete.

        Args:
            url: as in `stream`.
            path: the file; its folder exists.
            headers: If-None-Match and If-Modified-Since make the fetch conditional.
            method: POST for services that take a query as the body.
            content: that query.
            auth_headers: as in `stream`.
            limits: instead of the client's.

        Returns:
            The response's figures; with status 304 no file was written.

        Raises:
            UpstreamStatus: the status is neither 200 nor 304. Other errors as in `stream`.
        """
        async with self.stream(
            method, url, headers=headers, content=content, auth_headers=auth_headers, limits=limits
        ) as response:
            if response.status == 304:
                return Download(304, response.headers, response.target, 0, 0, "")
            response.raise_for_status()
            if response.status != 200:  # 204 and 206 are not a whole file
                raise UpstreamStatus(response.status, origin=response.target.origin)
            sha256 = await _save(response, path)
            return Download(
                200,
                response.headers,
                response.target,
                response.decoder.received,
                response.decoder.expanded,
                sha256,
            )

    async def _follow(
        self, request: Outgoing, limits: Limits, deadline: float
    ) -> tuple[Outgoing, httpcore2.Response]:
        for _ in range(limits.redirects + 1):
            raw = await self._send(request, limits, deadline)
            location = Headers(raw.headers).get("location")
            if raw.status not in REDIRECTS or location is None or limits.redirects == 0:
                return request, raw
            await raw.aclose()  # a redirect's body is not read
            request = request.redirected(location, raw.status)
        raise TooManyRedirects(
            f"{request.target.origin} still redirects after {limits.redirects} hops",
            origin=request.target.origin,
        )

    async def _send(self, request: Outgoing, limits: Limits, deadline: float) -> httpcore2.Response:
        is_at_home = request.at_home and self._home in (None, request.target.origin)
        pool = self._pool if is_at_home else self._abroad
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
    subject = f"the answer of {request.target.origin}"
    if request.method != "HEAD" and int(headers.get("content-length", 0)) > limits.max_bytes:
        raise TooLarge(f"{subject} is larger than {limits.max_bytes:,} bytes")
    decoder = Decoder(headers.get("content-encoding", ""), limits, subject)
    return StreamedResponse(
        raw.status, headers, request.target, decoder, raw.aiter_stream(), deadline
    )


async def _save(response: StreamedResponse, path: Path) -> str:
    """Write the body beside `path`, move it there when complete, and return its SHA-256."""
    partial = path.with_name(f".{path.name}.{token_hex(4)}.part")
    digest = hashlib.sha256()
    try:
        # Writing a piece into the page cache is short enough for the event loop.
        with partial.open("xb") as file:
            async for piece in response.iter_bytes():
                digest.update(piece)
                file.write(piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()

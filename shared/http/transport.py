"""Connections to vetted addresses: a name is resolved once, vetted, and that address is connected.

httpcore2 calls `PinnedBackend.connect_tcp` for every new connection. TLS then runs over it with the
original name (SNI and certificate check), so a DNS answer that changes later has no effect.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import httpcore2

from shared.http.errors import TimedOut, Unreachable
from shared.http.guard import Address, OutboundPolicy

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name and port to the text of its IPv4 and IPv6 addresses."""

_MAX_ADDRESSES = 4


async def resolve(host: str, port: int) -> list[str]:
    """Resolve a name with the system's resolver, in its order, each address once."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections to vetted addresses only."""

    def __init__(self, policy: OutboundPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._tcp = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore2's signature
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, vet all addresses, and connect to the first that answers within `timeout` s.

        Raises:
            ForbiddenTarget: an address may not be reached.
            Unreachable: the name does not resolve.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: no address answers.
        """
        try:
            async with asyncio.timeout(timeout) as clock:
                addresses = self._policy.vet(
                    host, port, await _addresses_of(self._resolver, host, port)
                )
                return await self._connect_first(addresses[:_MAX_ADDRESSES], port, clock.when())
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None

    async def _connect_first(
        self, addresses: Sequence[Address], port: int, deadline: float | None
    ) -> httpcore2.AsyncNetworkStream:
        left = None
        for position, address in enumerate(addresses):
            if deadline is not None:
                # A silent address gets its share of the time, so that time is left for the others.
                left = (deadline - asyncio.get_running_loop().time()) / (len(addresses) - position)
            try:
                return await self._tcp.connect_tcp(str(address), port, timeout=left)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


async def _addresses_of(resolver: Resolver, host: str, port: int) -> Sequence[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass  # a name, not an address
    try:
        addresses = await resolver(host, port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise Unreachable(f"the name {host} does not resolve", host=host)
    return addresses


async def connect_socket(
    policy: OutboundPolicy, resolver: Resolver, host: str, port: int, seconds: float
) -> socket.socket:
    """Open a TCP connection to the first vetted address that answers, without blocking.

    Args:
        policy: what may be reached.
        resolver: resolves the name.
        host: a name or an address.
        port: of the host.
        seconds: for all of it.

    Raises:
        ForbiddenTarget: an address may not be reached.
        Unreachable: the name does not resolve, or no address takes a connection.
        TimedOut: none does in time.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds) as clock:
            addresses = policy.vet(host, port, await _addresses_of(resolver, host, port))
            chosen = addresses[:_MAX_ADDRESSES]
            for position, address in enumerate(chosen):
                # A silent address gets its share of the time, as in `PinnedBackend`.
                left = ((clock.when() or 0.0) - loop.time()) / (len(chosen) - position)
                with suppress(OSError, TimeoutError):
                    return await _connect_to(address, port, left)
    except TimeoutError:
        raise TimedOut(f"{host}:{port} did not take a connection in time", host=host) from None
    raise Unreachable(f"{host}:{port} cannot be reached", host=host)


async def _connect_to(address: Address, port: int, seconds: float) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            await loop.sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


_system_context = cache(httpcore2.default_ssl_context)  # it reads a few hundred certificates


def tls_context(ca: Path | None, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    """Create a client context that verifies; verification cannot be switched off.

    Args:
        ca: PEM file of authorities trusted in addition to the system's.
        certificate: PEM files of a client certificate (chain) and its unencrypted key.

    Raises:
        OSError, ssl.SSLError: a file is missing or malformed.
    """
    if not ca and not certificate:
        return _system_context()
    context = httpcore2.default_ssl_context()
    if ca:
        context.load_verify_locations(ca)
    if certificate:
        # Without a password OpenSSL would prompt for that of an encrypted key; an empty one fails.
        context.load_cert_chain(*certificate, password="")
    return context

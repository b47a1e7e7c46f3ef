"""The services behind the gateway: where they are, which of them answer, what they describe."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.gateway.routing.exchange import OutgoingRequest
from services.gateway.routing.route_map import FLOWER, UPSTREAMS
from services.gateway.routing.upstream import origin_of
from services.gateway.routing.upstream_pool import UpstreamPool
from shared.errors import NotFound, SentinelIQError
from shared.settings import Settings

_PROBE_SECONDS: Final = 1.0
_DOCUMENT_SECONDS: Final = 5.0
_STATE_SECONDS: Final = 1.0
"""So long the states hold: a crowd of health checks asks each service once."""
_DOCUMENTS_SECONDS: Final = 60.0
_MAX_DOCUMENT: Final = 16 * 1024 * 1024


class Upstreams:
    """All services behind the gateway.

    Args:
        settings: their addresses.
    """

    def __init__(self, settings: Settings) -> None:
        self._urls = {name: settings.service_url(name) for name in UPSTREAMS if name != FLOWER}
        if settings.flower_url is not None:
            self._urls[FLOWER] = settings.flower_url
        self._origins = {name: origin_of(name, url) for name, url in self._urls.items()}
        self._pools: dict[str, UpstreamPool] = {}
        self._states: dict[str, str] = {}
        self._states_until = 0.0
        self._documents: dict[str, dict[str, Any]] = {}
        self._documents_until = 0.0

    def pool(self, name: str) -> UpstreamPool:
        """The connections to a service.

        Raises:
            NotFound: this installation has no such service.
        """
        pool = self._pools.get(name)
        if pool is None:
            if name not in self._origins:
                raise NotFound(f"This installation has no {name}.")
            # Not before a loop runs: it belongs to that loop.
            pool = self._pools[name] = UpstreamPool(self._origins[name])
        return pool

    async def states(self) -> Mapping[str, str]:
        """By service: `ok`, or `away` if it does not answer within a second."""
        now = asyncio.get_running_loop().time()
        if now >= self._states_until:
            names = list(self._origins)
            answers = await asyncio.gather(*(self._probe(name) for name in names))
            self._states = dict(zip(names, answers, strict=True))
            self._states_until = now + _STATE_SECONDS
        return self._states

    async def documents(self) -> Mapping[str, dict[str, Any] | None]:
        """The OpenAPI document of each service: its newest, or None if it never answered."""
        now = asyncio.get_running_loop().time()
        names = [name for name in self._origins if name != FLOWER]
        if now >= self._documents_until:
            answers = await asyncio.gather(*(self._document(name) for name in names))
            fresh = zip(names, answers, strict=True)
            self._documents |= {name: document for name, document in fresh if document}
            if all(answers):
                self._documents_until = now + _DOCUMENTS_SECONDS
        return {name: self._documents.get(name) for name in names}

    def close(self) -> None:
        """End all connections that no exchange uses."""
        for pool in self._pools.values():
            pool.close()

    async def _probe(self, name: str) -> str:
        target = b"/flower/healthcheck" if name == FLOWER else b"/healthz"
        try:
            status, _ = await self._get(name, target, _PROBE_SECONDS)
        except SentinelIQError:
            return "away"
        return "ok" if status == 200 else "away"

    async def _document(self, name: str) -> dict[str, Any] | None:
        try:
            status, body = await self._get(name, b"/openapi.json", _DOCUMENT_SECONDS)
            # Hundreds of kilobytes: not on the loop.
            document = await asyncio.to_thread(msgspec.json.decode, body) if status == 200 else None
        except (SentinelIQError, msgspec.DecodeError):
            return None
        return document if isinstance(document, dict) else None

    async def _get(self, name: str, target: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of an answer; its waits end with the first that is too long."""
        pool = self.pool(name)
        headers = [(b"host", pool.origin.authority.encode())]
        connection = await pool.acquire()
        try:
            request = OutgoingRequest("GET", target, headers)
            connection.begin(request.head(), is_head_request=False)
            await connection.read_head(seconds)
            body = bytearray()
            while len(body) < _MAX_DOCUMENT:
                body += await connection.read_piece(seconds)
                if connection.is_whole:
                    break
            return connection.status, bytes(body)
        finally:
            pool.release(connection)

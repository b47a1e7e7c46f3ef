"""The HTTP server of an API process: uvicorn, with bounds on its connections."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import uvicorn
from fastapi import FastAPI

from shared.keys import keys_of
from shared.settings import Settings
from shared.web.authentication import is_authenticated as has_valid_token
from shared.web.connections import ConnectionTable
from shared.web.protocol import BoundedHttpProtocol, Headers

_CHECK_SECONDS: Final = 1.0


class TlsFiles(NamedTuple):
    """The files of a server's own TLS.

    Attributes:
        certificate: with those of its issuers, in PEM.
        key: of the certificate.
    """

    certificate: Path
    key: Path


def run_server(app: FastAPI, settings: Settings, notify: Callable[[], None]) -> None:
    """Serve an API until a signal ends the process.

    Args:
        app: the API.
        settings: address, port and limits.
        notify: called when the server listens.

    An app whose `state.reads_strangers` is true gets the bodies of requests without a token, and
    one with `state.tls_files` is served over TLS. The functions in `state.endings` end answers that
    have no end of their own, when the process is to end.
    """
    gateways = believed_gateways(app, settings)
    tls: TlsFiles | None = getattr(app.state, "tls_files", None)
    is_authenticated = partial(has_valid_token, keys_of(settings))
    if getattr(app.state, "reads_strangers", False):
        is_authenticated = _is_welcome  # type: ignore[assignment]  # both take the headers
    table = ConnectionTable(settings.api_connections, settings.api_connections_per_peer)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        http=partial(  # type: ignore[arg-type]  # uvicorn calls it, and asks for no more
            BoundedHttpProtocol,
            table=table,
            is_authenticated=is_authenticated,
        ),
        ws="none",
        proxy_headers=bool(gateways),
        forwarded_allow_ips=gateways,
        server_header=False,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        loop="uvloop",
    )
    _Server(config, table, notify, getattr(app.state, "endings", ())).run()


def believed_gateways(app: FastAPI, settings: Settings) -> list[str]:
    """The peers whose `X-Forwarded-For` a service believes: gateways that are named, nobody else.

    The gateway itself, which reads bodies of strangers, finds its clients by itself.
    """
    if getattr(app.state, "reads_strangers", False):
        return []
    return [str(network) for network in settings.gateway_addresses]


def _is_welcome(_headers: Headers) -> bool:
    return True


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        table: ConnectionTable,
        notify: Callable[[], None],
        endings: Sequence[Callable[[], None]],
    ) -> None:
        super().__init__(config)
        self._endings = endings
        self._table = table
        self._notify = notify

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check_times)
            self._notify()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for end in self._endings:
            end()
        await super().shutdown(sockets)

    def _check_times(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in self._table:
            connection.check_time(now)
        loop.call_later(_CHECK_SECONDS, self._check_times)

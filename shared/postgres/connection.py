"""Connections whose statements end when their server falls silent, and which no fork inherits."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from shared.postgres.conninfo import split_hosts
from shared.postgres.inheritance import note_server
from shared.postgres.watchdog import PATIENCE_SECONDS, ServerWatchdog, watchdog_of

Result = TypeVar("Result")

_INTERVAL: Final = 0.1
"""Seconds after which a wait that had no news looks around."""
_SILENCE: Final = "The PostgreSQL server does not answer."


class WatchedConnection(psycopg.Connection[Any]):
    """A connection whose waits end when its server is silent."""

    watchdog: ServerWatchdog | None = None

    def wait(self, gen: Any, interval: float = _INTERVAL, timeout: float | None = None) -> Any:
        """Consume a generator of libpq operations; all of psycopg's network use goes through it.

        Raises:
            psycopg.OperationalError: the server is silent; the connection is closed.
        """
        if self.watchdog is not None:
            gen = _watched(gen, self.pgconn, self.watchdog)
        return super().wait(gen, interval, timeout)


class AsyncWatchedConnection(psycopg.AsyncConnection[Any]):
    """The same for an event loop."""

    watchdog: ServerWatchdog | None = None

    async def wait(
        self,
        gen: Any,
        interval: float = _INTERVAL,
        timeout: float | None = None,  # noqa: ASYNC109  # psycopg's signature
    ) -> Any:
        """Consume a generator of libpq operations; all of psycopg's network use goes through it.

        Raises:
            psycopg.OperationalError: the server is silent; the connection is closed.
        """
        if self.watchdog is not None:
            gen = _watched(gen, self.pgconn, self.watchdog)
        return await super().wait(gen, interval, timeout)


def open_connection(parameters: Mapping[str, Any]) -> WatchedConnection:
    """Connect to the first server that answers and has the `target_session_attrs`.

    Raises:
        psycopg.OperationalError: none does.
    """
    try:
        connection = WatchedConnection.connect(**_answering(parameters))
    except psycopg.errors.ConnectionTimeout:
        _suspect(parameters)
        raise
    with closing_on_error(connection):
        connection.watchdog = _watchdog(connection.pgconn, parameters)
        note_server(connection.pgconn)
    return connection


@contextmanager
def closing_on_error(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Close a connection that is being prepared, if the block fails."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


async def open_async_connection(parameters: Mapping[str, Any]) -> AsyncWatchedConnection:
    """Connect to the first server that answers and has the `target_session_attrs`.

    Raises:
        psycopg.OperationalError: none does.
    """
    try:
        connection = await AsyncWatchedConnection.connect(**_answering(parameters))
    except psycopg.errors.ConnectionTimeout:
        _suspect(parameters)
        raise
    try:
        connection.watchdog = _watchdog(connection.pgconn, parameters)
        note_server(connection.pgconn)
    except BaseException:
        await connection.close()
        raise
    return connection


def _answering(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the servers that are silent: each would cost the whole time-out."""
    hosts = split_hosts(parameters)
    answering = [
        (host, port) for host, port in hosts if not watchdog_of(host, port, parameters).is_silent
    ]
    if not answering:
        raise psycopg.OperationalError(_SILENCE)
    if len(answering) == len(hosts):
        return dict(parameters)
    common = {name: value for name, value in parameters.items() if name != "hostaddr"}
    return {
        **common,
        "host": ",".join(host for host, _ in answering),
        "port": ",".join(port for _, port in answering),
    }


def _suspect(parameters: Mapping[str, Any]) -> None:
    """Let nobody else wait for servers that did not answer in time, until they do."""
    for host, port in split_hosts(parameters):
        watchdog_of(host, port, parameters).suspect()


def _watchdog(pgconn: psycopg.pq.abc.PGconn, parameters: Mapping[str, Any]) -> ServerWatchdog:
    hosts = split_hosts(parameters)
    if len(hosts) == 1:
        return watchdog_of(*hosts[0], parameters)
    return watchdog_of(pgconn.host.decode(), pgconn.port.decode(), parameters)


def _watched(
    operations: Generator[Any, Any, Result], pgconn: psycopg.pq.abc.PGconn, watchdog: ServerWatchdog
) -> Generator[Any, Any, Result]:
    """Pass operations on; end them when the server is silent."""
    if watchdog.is_silent:
        operations.close()
        pgconn.finish()
        raise psycopg.OperationalError(_SILENCE)
    try:
        direction = next(operations)
        since = monotonic()
        while True:
            ready = yield direction
            if ready:
                since = monotonic()
            elif _is_over(pgconn, watchdog, since):
                operations.close()
                pgconn.finish()
                raise psycopg.OperationalError(_SILENCE)
            direction = operations.send(ready)
    except StopIteration as end:
        result: Result = end.value
        return result


def _is_over(pgconn: psycopg.pq.abc.PGconn, watchdog: ServerWatchdog, since: float) -> bool:
    # A connection that listens waits for others, not for the server.
    if pgconn.transaction_status != TransactionStatus.ACTIVE:
        return False
    if monotonic() - since >= PATIENCE_SECONDS:
        watchdog.ask(since)
    return watchdog.is_silent

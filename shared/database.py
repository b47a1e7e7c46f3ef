"""PostgreSQL: one transaction, one tenant.

Every service owns one schema and one unprivileged role. The first statement of each transaction
sets both and the tenant, for that transaction only, so that connections can be pooled. Row-level
security does the rest: a transaction reads its tenant and `public`, writes its tenant, and sees
nothing when no tenant is set.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final
from weakref import WeakSet, finalize

import psycopg
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolEmpty
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from shared import tenants
from shared.errors import TooLargeInput, Unavailable
from shared.keys import current_url
from shared.postgres.connection import (
    AsyncWatchedConnection,
    WatchedConnection,
    closing_on_error,
    open_async_connection,
    open_connection,
)
from shared.postgres.conninfo import SessionLimits, connection_parameters
from shared.postgres.inheritance import note_server
from shared.postgres.reader_pool import ReaderPool
from shared.postgres.sqlstates import blames_value, is_transient_error
from shared.postgres.watchdog import is_answered
from shared.settings import load_settings
from shared.telemetry.logging import get_logger
from shared.uuids import register_dumper

log = get_logger(__name__)

PUBLIC: Final = tenants.PUBLIC
PLATFORM: Final = tenants.PLATFORM

_SET_TENANT: Final = sqlalchemy.text(
    "SELECT set_config('role', :role, true), set_config('search_path', :schema, true), "
    "set_config('sentineliq.tenant', :tenant, true)"
)
_SET_TENANT_READ_ONLY: Final = (
    "SELECT set_config('transaction_read_only', 'on', true), set_config('role', %s, true), "
    "set_config('search_path', %s, true), set_config('sentineliq.tenant', %s, true)"
)
_SET_SESSION_TENANT: Final = (
    "SELECT set_config('role', %s, false), set_config('search_path', %s, false), "
    "set_config('sentineliq.tenant', %s, false)"
)
_SET_TIMEOUT: Final = sqlalchemy.text("SELECT set_config('statement_timeout', :limit, true)")


_POOL_SECONDS: Final = 4
"""The longest wait for a connection: an API answers within five seconds."""
_PROBE_SECONDS: Final = 2.0
_PROBE_VALID_SECONDS: Final = 1.0
_READER_LIMITS: Final = SessionLimits(statement=30)
_PROBE_LIMITS: Final = SessionLimits(statement=2, lock=2, idle_in_transaction=2)
_LOCK_LIMITS: Final = SessionLimits(idle=10)


def make_engine(
    url: str | Callable[[], str],
    limits: SessionLimits,
    application: str = "sentineliq",
    **pool: Any,
) -> Engine:
    """Make an engine that connects with libpq's reading of the URL, which may name several hosts.

    Args:
        url: libpq URL, or a function that returns the one for a new connection.
        limits: of its sessions.
        application: the name that PostgreSQL shows.
        pool: SQLAlchemy's arguments about its pool.
    """

    def connect() -> WatchedConnection:
        address = url if isinstance(url, str) else url()
        return open_connection(connection_parameters(address, application, limits))

    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=connect,
        # A traceback that shows values would put them into logs and dead letters.
        hide_parameters=True,
        **pool,
    )


def role_name(service: str) -> str:
    """Return the unprivileged role that a service works under."""
    return f"sentineliq_{service}"


class Database:
    """A service's access to its schema.

    Args:
        url: libpq URL of a login that may take the service's role.
        service: the service's name, which is also its schema's.
        pool_size: connections for `read_transaction`; `transaction` has twice as many. They are
            opened when they are needed, and stay open.
        present_url: returns the URL with the login that is valid at present, if logins are
            replaced while the process runs. Connections of the one before are closed then, when
            nobody uses them.

    Attributes:
        connections: the most transactions at a time.
    """

    def __init__(
        self,
        url: str,
        service: str,
        pool_size: int = 4,
        present_url: Callable[[], str] | None = None,
    ) -> None:
        self.service = service
        self.url = url
        self._present_url = present_url
        self._renewal = threading.Lock()
        self._pool_number = 0
        self._opened: set[psycopg.Connection] = set()
        self.connections = 2 * pool_size
        # A caller that reads in steps opens a transaction before another has ended.
        self._reader_count = max(pool_size, 2)
        self._application = f"sentineliq-{service}"
        self.engine: Engine = make_engine(
            lambda: self.url,
            SessionLimits(),
            self._application,
            # No overflow: a connection that is closed again loses its prepared plans and its
            # staging table.
            pool_size=self.connections,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            pool_pre_ping=True,
            pool_recycle=1800,
        )
        event.listen(self.engine, "connect", _prepare_connection)
        event.listen(self.engine, "connect", self._note_pool)
        event.listen(self.engine, "checkin", self._close_former)
        self._readers = self._make_readers()
        self._checking = threading.Lock()
        self._checked_at = 0.0
        _databases.add(self)
        # A database that nobody refers to any more takes its connections with it.
        finalize(self, _close_all, self._opened).atexit = False

    @contextmanager
    def transaction(self, tenant: str, seconds: int | None = None) -> Iterator[Session]:
        """Run a block as one transaction: committed when it ends, rolled back when it raises.

        Args:
            tenant: sees and writes its rows only.
            seconds: limit of each statement, for queries that may scan whole tables.

        Raises:
            Unavailable: the database cannot be reached or aborted the transaction; a retry is safe.
            TooLargeInput: a statement took longer than `seconds`.
        """
        self._follow_login()
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                set_tenant(session, self.service, tenant)
                if seconds is not None:
                    session.execute(_SET_TIMEOUT, {"limit": f"{seconds}s"})
                yield session
        except (DBAPIError, psycopg.Error, PoolEmpty) as error:
            if seconds is not None and is_cancelled(error):
                raise TooLargeInput(
                    f"The database looked for more than {seconds} s: ask for less."
                ) from error
            if is_transient(error):
                raise Unavailable(
                    "The database does not answer; the transaction was rolled back."
                ) from error
            raise

    @contextmanager
    def read_transaction(self, tenant: str) -> Iterator[psycopg.Connection]:
        """Run a block as one read-only transaction on a connection in pipeline mode.

        Statements go out together when a result is fetched, so that a query of several statements
        costs one round trip. For PostgreSQL a pipeline is one transaction, which lasts until the
        pipeline is synchronised: the block must not open another pipeline or transaction.

        Raises:
            Unavailable: the database cannot be reached or aborted the transaction; a retry is safe.
        """
        self._follow_login()
        try:
            with self._readers.connection() as connection:
                try:
                    with connection.pipeline():
                        connection.execute(
                            _SET_TENANT_READ_ONLY, (role_name(self.service), self.service, tenant)
                        )
                        yield connection
                except psycopg.Error:
                    # The server has not prepared the statements behind the one that failed, but
                    # psycopg believes so until a ROLLBACK.
                    connection.close()
                    raise
        except psycopg.errors.ReadOnlySqlTransaction:
            raise  # the program's own mistake here, and not a server that became a standby
        except psycopg.Error as error:
            if not is_transient(error):
                raise
            raise Unavailable("The database does not answer; nothing was read.") from error

    def _make_readers(self) -> ReaderPool:
        def connect() -> WatchedConnection:
            parameters = connection_parameters(self.url, self._application, _READER_LIMITS)
            reader = _open_reader(parameters)
            self._note_opened(reader)
            return reader

        return ReaderPool(connect, self._reader_count, _POOL_SECONDS)

    def _note_pool(self, connection: psycopg.Connection, record: ConnectionPoolEntry) -> None:
        record.info["pool"] = self._pool_number
        self._note_opened(connection)

    def _note_opened(self, connection: psycopg.Connection) -> None:
        for former in [former for former in list(self._opened) if former.closed]:
            self._opened.discard(former)
        self._opened.add(connection)

    def _close_former(
        self, connection: psycopg.Connection | None, record: ConnectionPoolEntry
    ) -> None:
        """Close a connection of a former pool when it comes back; nobody lends it any more."""
        if connection is not None and record.info.get("pool") != self._pool_number:
            connection.close()

    def _follow_login(self) -> None:
        """Connect with the present login from now on, if it is another."""
        if self._present_url is None or self._present_url() == self.url:
            return
        with self._renewal:
            url = self._present_url()
            if url == self.url:
                return
            self.url = url
            self.close()
        log.info("database.login_replaced")

    def connect(self) -> WatchedConnection:
        """Open an autocommit connection outside the pool, whose session can hold a lock.

        PostgreSQL ends a session that is silent for ten seconds, and its locks with it: a process
        that holds a lock shows with `SELECT 1` that it is not frozen.
        """
        self._follow_login()
        parameters = connection_parameters(self.url, self._application, _LOCK_LIMITS)
        connection = open_connection(parameters)
        with closing_on_error(connection):
            connection.autocommit = True
        return connection

    async def connect_async(self, tenant: str) -> AsyncWatchedConnection:
        """Open an autocommit connection outside the pool, for one tenant until it is closed.

        Its session can hold a lock and listen.
        """
        self._follow_login()
        parameters = connection_parameters(self.url, self._application, SessionLimits())
        connection = await open_async_connection(parameters)
        try:
            await connection.set_autocommit(True)
            await connection.execute(
                _SET_SESSION_TENANT, (role_name(self.service), self.service, tenant)
            )
        except BaseException:
            await connection.close()
            raise
        return connection

    def check(self) -> None:
        """Check that the database answers, on a connection of its own, within some seconds.

        A process that is asked often asks the database once a second.

        Raises:
            Unavailable: it does not.
        """
        with self._checking:
            if time.monotonic() - self._checked_at < _PROBE_VALID_SECONDS:
                return
            self._follow_login()
            settings = {"role": role_name(self.service)}
            parameters = connection_parameters(
                self.url, "sentineliq-probe", _PROBE_LIMITS, settings
            )
            try:
                with psycopg.connect(**parameters, autocommit=True) as connection:
                    note_server(connection.pgconn)
                    is_up = is_answered(connection, _PROBE_SECONDS)
                    if not is_up:
                        connection.pgconn.finish()
            except psycopg.Error as error:
                raise Unavailable("The database does not answer.") from error
            if not is_up:
                raise Unavailable("The database does not answer.")
            self._checked_at = time.monotonic()

    def close(self) -> None:
        """Close the pools, and what is in use when it comes back; they open again when used."""
        self._pool_number += 1
        self.engine.dispose()
        readers = self._readers
        self._readers = self._make_readers()
        readers.close()

    def forget_connections(self) -> None:
        """Start anew in a child process: the connections, and who waits for them, are the parent's.

        Their sockets are closed already (`shared.postgres.inheritance`).
        """
        self.engine.dispose(close=False)
        self._opened.clear()
        self._readers = self._make_readers()
        self._checking = threading.Lock()
        self._renewal = threading.Lock()


_databases: WeakSet[Database] = WeakSet()


def _forget_connections() -> None:
    for own in list(_databases):
        own.forget_connections()


os.register_at_fork(after_in_child=_forget_connections)


@cache
def database(service: str) -> Database:
    """Return this process's database of a service, from the settings."""
    settings = load_settings()
    present_url = partial(current_url, settings, "database_url")
    return Database(present_url(), service, settings.database_pool_size, present_url)


def driver_connection(session: Session) -> psycopg.Connection:
    """Return the psycopg connection under a transaction, for statements in bulk."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101  # the engine's driver
    return connection


def set_tenant(session: Session, service: str, tenant: str) -> None:
    """Set role, schema and tenant for the rest of the transaction; call again to change them."""
    session.execute(_SET_TENANT, {"role": role_name(service), "schema": service, "tenant": tenant})


def is_transient(error: BaseException) -> bool:
    """Whether a retry may succeed: the database, or the way to it, is at fault.

    Args:
        error: SQLAlchemy's, or psycopg's own, which statements in bulk raise.
    """
    if isinstance(error, PoolEmpty):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_transient_error(_original(error))
    return is_transient_error(error)


def blames_record(error: BaseException) -> bool:
    """Whether an error is that of a record's own values: it fails wherever it is tried again.

    Every other error of the database is the platform's: a full disk, a read-only server, a column
    that this version does not know. It says nothing about the record, which is tried again.

    Args:
        error: SQLAlchemy's, or psycopg's own; errors of anything else blame the record.
    """
    original = _original(error)
    is_ours = isinstance(error, PoolEmpty) or (
        isinstance(original, psycopg.Error) and not blames_value(original)
    )
    return not is_ours and not is_transient(error)


def _original(error: BaseException) -> BaseException:
    """Return psycopg's error behind SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


def is_cancelled(error: BaseException) -> bool:
    """Whether a statement was cancelled because it took too long."""
    return isinstance(_original(error), psycopg.errors.QueryCanceled)


def _close_all(connections: set[psycopg.Connection]) -> None:
    for connection in connections:
        connection.close()


def _open_reader(parameters: dict[str, Any]) -> WatchedConnection:
    # Readers repeat a few statements with other values: planning takes longer than reading some
    # rows by their keys.
    connection = open_connection(parameters)
    with closing_on_error(connection):
        connection.autocommit = True
        connection.execute("SET plan_cache_mode = force_generic_plan")
        register_dumper(connection)
    return connection


def _prepare_connection(connection: psycopg.Connection, _record: object) -> None:
    # Batches repeat a few statements, which pays off preparing them early.
    connection.prepare_threshold = 5
    register_dumper(connection)

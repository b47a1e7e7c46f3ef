"""PostgreSQL: one transaction, one tenant.

Every service owns one schema and one unprivileged role. The first statement of each transaction
sets both and the tenant, for that transaction only, so that connections can be pooled. Row-level
security does the rest: a transaction reads its tenant and `public`, writes its tenant, and sees
nothing when no tenant is set.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import psycopg
import sqlalchemy
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolEmpty
from sqlalchemy.orm import Session

from shared import tenants
from shared.errors import TooLargeInput, Unavailable
from shared.settings import load_settings
from shared.uuids import register_dumper

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


def sqlalchemy_url(url: str) -> URL:
    """Convert a libpq URL to SQLAlchemy's, with the driver psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")


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
    """

    def __init__(self, url: str, service: str, pool_size: int = 4) -> None:
        self.service = service
        self.url = url
        self._pool: ConnectionPool | None = None
        self._pool_size = pool_size
        self._opening = threading.Lock()
        self.engine: Engine = sqlalchemy.create_engine(
            sqlalchemy_url(url),
            # No overflow: a connection that is closed again loses its prepared plans and its
            # staging table.
            pool_size=2 * pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args={"connect_timeout": 5, "application_name": f"sentineliq-{service}"},
        )
        event.listen(self.engine, "connect", _prepare_connection)

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
        try:
            with self._readers().connection() as connection:
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
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable("The database does not answer; nothing was read.") from error

    def _readers(self) -> ConnectionPool:
        with self._opening:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.url,
                    min_size=1,
                    # A caller that reads in steps opens a transaction before another has ended.
                    max_size=max(self._pool_size, 2),
                    timeout=5,
                    kwargs={"autocommit": True, "connect_timeout": 5, "prepare_threshold": 5},
                    configure=_configure_reader,
                    reset=_reset_reader,
                    open=True,
                )
            return self._pool

    def connect(self) -> psycopg.Connection:
        """Open an autocommit connection outside the pool, whose session can hold a lock."""
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    async def connect_async(self, tenant: str) -> psycopg.AsyncConnection:
        """Open an autocommit connection outside the pool, for one tenant until it is closed.

        Its session can hold a lock and listen.
        """
        connection = await psycopg.AsyncConnection.connect(
            self.url,
            autocommit=True,
            connect_timeout=5,
            application_name=f"sentineliq-{self.service}",
        )
        parameters = (role_name(self.service), self.service, tenant)
        try:
            await connection.execute(_SET_SESSION_TENANT, parameters)
        except BaseException:
            await connection.close()
            raise
        return connection

    def check(self) -> None:
        """Check that the database answers.

        Raises:
            Unavailable: it does not.
        """
        with self.transaction(PLATFORM) as session:
            session.execute(sqlalchemy.text("SELECT 1"))

    def close(self) -> None:
        """Close the pools."""
        self.engine.dispose()
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


@cache
def database(service: str) -> Database:
    """Return this process's database of a service, from the settings."""
    settings = load_settings()
    return Database(settings.database_url.get_secret_value(), service, settings.database_pool_size)


def driver_connection(session: Session) -> psycopg.Connection:
    """Return the psycopg connection under a transaction, for statements in bulk."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101  # the engine's driver
    return connection


def set_tenant(session: Session, service: str, tenant: str) -> None:
    """Set role, schema and tenant for the rest of the transaction; call again to change them."""
    session.execute(_SET_TENANT, {"role": role_name(service), "schema": service, "tenant": tenant})


def is_transient(error: BaseException) -> bool:
    """Whether a retry may succeed: no connection, a lost one, a deadlock, a serialization failure.

    Args:
        error: SQLAlchemy's, or psycopg's own, which statements in bulk raise.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.OperationalError):
        return not isinstance(original, psycopg.errors.DiskFull)
    return isinstance(error, PoolEmpty) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def is_cancelled(error: BaseException) -> bool:
    """Whether a statement was cancelled because it took too long."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(original, psycopg.errors.QueryCanceled)


def _configure_reader(connection: psycopg.Connection) -> None:
    # Readers repeat a few statements with other values: planning takes longer than reading some
    # rows by their keys.
    connection.execute("SET statement_timeout = '30s'; SET plan_cache_mode = force_generic_plan")
    register_dumper(connection)


def _reset_reader(connection: psycopg.Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        connection.rollback()


def _prepare_connection(connection: psycopg.Connection, _record: object) -> None:
    # Batches repeat a few statements, which pays off preparing them early.
    connection.prepare_threshold = 5
    register_dumper(connection)

"""PostgreSQL: one transaction, one tenant.

Every service owns one schema and one unprivileged role, both named in the first statement of each transaction together
with the tenant, for that transaction only, so that it works through any pool. Row-level security does the rest: a
transaction reads its tenant and `public`, writes its tenant, and with nothing set sees nothing.
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

from shared.errors import TooLargeInput, Unavailable
from shared.settings import load_settings
from shared.uuids import register_dumper

PUBLIC: Final = "public"
"""The tenant that everyone reads and only operators write."""

PLATFORM: Final = "*"
"""Not a tenant: work that is the platform's own (relays, reconcilers) and crosses tenants knowingly."""

_ENTER = sqlalchemy.text(
    "SELECT set_config('role', :role, true), set_config('search_path', :schema, true), "
    "set_config('sentineliq.tenant', :tenant, true)"
)


_LIMIT = sqlalchemy.text("SELECT set_config('statement_timeout', :limit, true)")
_ENTER_READING = (
    "SELECT set_config('transaction_read_only', 'on', true), set_config('role', %s, true), "
    "set_config('search_path', %s, true), set_config('sentineliq.tenant', %s, true)"
)


def sqlalchemy_url(url: str) -> URL:
    """A libpq URL as SQLAlchemy's, on psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")


def role_name(service: str) -> str:
    """The unprivileged role a service works under."""
    return f"sentineliq_{service}"


class Database:
    """A service's way to its own schema.

    Args:
        url: libpq URL of a login that may take the service's role.
        service: the service's name, which is its schema.
        pool_size: connections for readings; for transactions twice as many. Opened when needed, and kept.
    """

    def __init__(self, url: str, service: str, pool_size: int = 4) -> None:
        self.service = service
        self.url = url
        self._pool: ConnectionPool | None = None
        self._pool_size = pool_size
        self._opening = threading.Lock()
        self.engine: Engine = sqlalchemy.create_engine(
            sqlalchemy_url(url),
            # Opened as they are needed, and kept: one that comes and goes has no plans and no staging table.
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
        """One transaction for one tenant: committed when the block ends, rolled back when it raises.

        Args:
            tenant: whose it is.
            seconds: how long one statement may take, for questions that may look through all there is.

        Raises:
            Unavailable: the database cannot be reached or gave up on the transaction; trying again is safe.
            TooLargeInput: a statement took longer than it may.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                set_tenant(session, self.service, tenant)
                if seconds is not None:
                    session.execute(_LIMIT, {"limit": f"{seconds}s"})
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
        """A read-only transaction for one tenant on a connection in pipeline mode.

        Its statements go out together and are answered together when a result is fetched: what a question costs is
        one round trip, not one for each statement. PostgreSQL takes what comes in a pipeline for one transaction, which
        lasts until the pipeline is synchronised: the block must not open another one, nor a transaction of its own.

        Raises:
            Unavailable: the database cannot be reached or gave up on the transaction; trying again is safe.
        """
        try:
            with self._readers().connection() as connection:
                try:
                    with connection.pipeline():
                        connection.execute(
                            _ENTER_READING, (role_name(self.service), self.service, tenant)
                        )
                        yield connection
                except psycopg.Error:
                    # What was prepared behind the statement that failed is not; only a ROLLBACK would tell psycopg.
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
                    max_size=max(
                        self._pool_size, 2
                    ),  # who reads in steps begins another reading before one has ended
                    timeout=5,
                    kwargs={"autocommit": True, "connect_timeout": 5, "prepare_threshold": 5},
                    configure=_configure_reader,
                    reset=_reset_reader,
                    open=True,
                )
            return self._pool

    def connect(self) -> psycopg.Connection:
        """A plain autocommit connection outside the pool, whose session can hold a lock."""
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Unavailable: it gave none.
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
    """This process's database of a service, where the environment says it is."""
    settings = load_settings()
    return Database(settings.database_url.get_secret_value(), service, settings.database_pool_size)


def driver_connection(session: Session) -> psycopg.Connection:
    """The connection under a transaction, for what goes in bulk."""
    connection: psycopg.Connection = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


def set_tenant(session: Session, service: str, tenant: str) -> None:
    """Make the rest of the transaction the service's and the tenant's; may be called again for another tenant."""
    session.execute(_ENTER, {"role": role_name(service), "schema": service, "tenant": tenant})


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed when tried again: no or lost connections, deadlocks, serialization.

    What goes in bulk goes past SQLAlchemy, and so do its errors.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.OperationalError):
        return not isinstance(original, psycopg.errors.DiskFull)
    return isinstance(error, PoolEmpty) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def is_cancelled(error: BaseException) -> bool:
    """Whether a statement took longer than it may."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(original, psycopg.errors.QueryCanceled)


def _configure_reader(connection: psycopg.Connection) -> None:
    # The same few statements with other values: planning each anew takes longer than reading a few rows by their keys.
    connection.execute("SET statement_timeout = '30s'; SET plan_cache_mode = force_generic_plan")
    register_dumper(connection)


def _reset_reader(connection: psycopg.Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        connection.rollback()


def _prepare_connection(connection: psycopg.Connection, _record: object) -> None:
    # COPY and batches repeat the same few statements; a failover must not leave a broken plan behind.
    connection.prepare_threshold = 5
    register_dumper(connection)

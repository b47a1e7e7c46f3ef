"""Bringing a schema to its newest version, however many processes start at once.

Each migration is a transaction of its own: a process that is killed leaves a schema at some
version, and the next one goes on from there. A migration waits a few seconds for the lock of a
table and no longer, since everybody else who wants the table queues up behind it; it is then rolled
back and tried again after a pause.
"""

import random
import time
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from shared.database import make_engine
from shared.errors import Unavailable
from shared.postgres.conninfo import MIGRATION_LIMITS
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LOCK_SECONDS: Final = 3.0
"""Seconds that a statement of a migration waits for a lock."""
IDLE_SECONDS: Final = 120.0
"""Seconds without a statement after which the server ends the session of a frozen migration, and
frees what it has locked."""
CHECK_SECONDS: Final = 2.0
"""Seconds after which the server notices, within a statement, that the process has been killed."""
_PATIENCE: Final = 600.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_RETRIED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

_PREPARE: Final = sa.text(
    "SELECT set_config('lock_timeout', :lock, false), "
    "set_config('client_connection_check_interval', :check, false), "
    "set_config('idle_session_timeout', :idle, false), "
    "set_config('idle_in_transaction_session_timeout', :idle, false)"
)
_TRY_LOCK: Final = sa.text(
    "SELECT pg_try_advisory_lock(hashtext('sentineliq.migrations.' || :name))"
)
_LOCK_ROLES: Final = sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.migrations'))")


def alembic_config(service: str, database_url: str, patience: float = _PATIENCE) -> Config:
    """Configure Alembic for the migrations in `services/<service>/migrations`.

    Args:
        service: the service's name.
        database_url: libpq URL of a login that may create roles and schemas.
        patience: seconds to wait while another process migrates the schema.
    """
    config = Config()
    folder = Path(__file__).resolve().parent
    versions = folder.parents[1] / "services" / service / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes["service"] = service
    config.attributes["url"] = database_url
    config.attributes["patience"] = patience
    return config


def migrate(service: str, database_url: str, patience: float = _PATIENCE) -> None:
    """Migrate a service's schema to its newest version.

    Args:
        service: the service's name.
        database_url: libpq URL of a login that may create roles and schemas.
        patience: seconds to wait for locks, and for another process that migrates the schema.

    Raises:
        Unavailable: a lock was not to be had; the schema is at some version, and another start
            goes on from there.
    """
    upgrade(alembic_config(service, database_url, patience))


def upgrade(config: Config) -> None:
    """Apply the migrations that are missing, and begin again when a lock is not to be had.

    Raises:
        Unavailable: the patience in the configuration was not enough.
    """
    deadline = time.monotonic() + config.attributes["patience"]
    pause = _FIRST_PAUSE
    while True:
        try:
            command.upgrade(config, "head")
        except OperationalError as error:
            if not isinstance(error.orig, _RETRIED):
                raise
            if time.monotonic() + pause > deadline:
                raise Unavailable(
                    f"{config.attributes['service']}: a migration does not get its lock, because a "
                    "transaction has been using the table for too long. What was applied stays; "
                    "end that transaction (see pg_stat_activity), and migrate again."
                ) from error
            log.warning("migration.lock_missed", reason=str(error.orig), pause=pause)
            time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311  # no secret
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return


def enter_session(connection: sa.Connection, service: str, patience: float) -> None:
    """Limit the session's waits, and wait until no other process migrates the schema.

    Raises:
        Unavailable: another process migrates it for longer than `patience`.
    """
    limits = {
        "lock": f"{LOCK_SECONDS * 1000:.0f}ms",
        "check": f"{CHECK_SECONDS * 1000:.0f}ms",
        "idle": f"{IDLE_SECONDS * 1000:.0f}ms",
    }
    connection.execute(_PREPARE, limits)
    connection.commit()
    deadline = time.monotonic() + patience
    while True:
        # A statement that waited here would be an open snapshot, for which the other process waits
        # when it builds an index.
        is_locked = connection.execute(_TRY_LOCK, {"name": service}).scalar_one()
        connection.commit()
        if is_locked:
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Another process has been migrating {service} for more than {patience:.0f} s. "
                "Look at its log; pg_stat_activity shows what it waits for."
            )
        time.sleep(0.25)


def lock_roles(connection: sa.Connection) -> None:
    """Let services that migrate side by side take turns: roles belong to the whole cluster."""
    connection.execute(_LOCK_ROLES)


def pending_revisions(service: str, database_url: str) -> list[str]:
    """Return the revisions that a service's schema lacks, oldest first."""
    script = ScriptDirectory.from_config(alembic_config(service, database_url))
    engine = make_engine(database_url, MIGRATION_LIMITS, poolclass=sa.NullPool)
    with engine.connect() as connection:
        options = {"version_table_schema": service}
        heads = MigrationContext.configure(connection, opts=options).get_current_heads()
    missing = script.iterate_revisions("head", heads[0] if heads else "base")
    return [revision.revision for revision in missing if revision.revision not in heads][::-1]

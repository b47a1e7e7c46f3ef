"""Checks of PostgreSQL: the server, migrations, outboxes, sweeps.

They use psycopg alone: SQLAlchemy and Alembic would take longer to import than all checks to run.
"""

import time
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg import sql

import services
from sentineliq.cli.doctor.check import Check, Status, start_step
from sentineliq.cli.doctor.growth_check import QUERY as GROWTH_QUERY
from sentineliq.cli.doctor.growth_check import Growth, check_growth
from shared.postgres.conninfo import SessionLimits, connection_parameters
from shared.settings import SERVICES, ServiceName, Settings

_LIMITS: Final = SessionLimits(statement=10, lock=2)
_BETWEEN_LOOKS: Final = 0.5
"""Seconds between the two looks at an outbox; a relay that works has moved on by then."""
_MISSING: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)


_OUTBOX: Final = (
    "SELECT min(id), count(*), extract(epoch FROM now() - min(created_at)),"
    " (SELECT count(*) FROM {0}.outbox WHERE parked_at IS NOT NULL),"
    " count(*) FILTER (WHERE attempts > 0)"
    " FROM {0}.outbox WHERE published_at IS NULL AND parked_at IS NULL"
)


# A sweep without an interval, which a task runs, is due when it ends.
_SWEEPS: Final = """
SELECT count(*),
    string_agg(name, ', ') FILTER (WHERE due_at < now() - interval '1 minute'
        AND coalesce(lease_until, '-infinity') < now()
        AND due_at > coalesce(finished_at, '-infinity')),
    string_agg(name || ' (' || error || ')', ', ') FILTER (WHERE error IS NOT NULL)
FROM {}.sweep
"""


_HALTED: Final = """
SELECT string_agg(topic || '/' || partition, ', ' ORDER BY topic, partition), min(halted_at),
    min(halted_reason)
FROM {}.consumer_offset WHERE halted_at IS NOT NULL
"""
_GAPS: Final = """
SELECT count(*), count(*) FILTER (WHERE repaired_at IS NULL),
    string_agg(DISTINCT topic || '/' || partition || ' ' || kind, ', '), max(noticed_at)
FROM {}.log_gap WHERE noticed_at > now() - interval '7 days'
"""


# What was published and not applied, unless a full statement has repaired it since.
_INCOMPLETE: Final = """
SELECT count(*), min(received_at) FROM {0}.run_expectation expected
WHERE state = 'incomplete' AND NOT EXISTS (
    SELECT FROM {0}.run_expectation later
    WHERE later.tenant = expected.tenant AND later.source_id = expected.source_id
        AND later.received_at > expected.received_at
        AND later.is_full AND later.state = 'applied')
"""
_UNCONFIRMED: Final = """
SELECT count(*), min(latest.finished_at), (array_agg(feed.name ORDER BY latest.finished_at))[1]
FROM {0}.feed CROSS JOIN LATERAL (
    SELECT run.state, run.finished_at FROM {0}.run
    WHERE run.feed_id = feed.id AND run.state IN ('applying', 'succeeded', 'unconfirmed')
    ORDER BY run.queued_at DESC LIMIT 1) latest
WHERE latest.state = 'unconfirmed'
"""
_SET_ASIDE: Final = """
SELECT count(*), string_agg(DISTINCT work, ', '), (array_agg(reason ORDER BY failed_at DESC))[1]
FROM {}.failed_row WHERE failed_at > now() - interval '7 days'
"""


class OutboxState(NamedTuple):
    """The events that wait in an outbox.

    Attributes:
        oldest: the first event's id; None when none waits.
        waiting: how many wait.
        seconds: the age of the oldest; None when none waits.
        parked: how many Kafka has refused for good.
        refused: how many of those that wait Kafka has refused so far.
    """

    oldest: int | None
    waiting: int
    seconds: float | None
    parked: int
    refused: int


class DatabaseChecks:
    """The checks on one connection, which is open from `connect` to `close`.

    Args:
        settings: where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url.get_secret_value()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._first_look: dict[ServiceName, OutboxState] = {}
        self._looked_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    @cached_property
    def _tables(self) -> frozenset[str]:
        """The tables of all services, with their schemas; none without a connection."""
        if self._connection is None:
            return frozenset()
        query = "SELECT schemaname || '.' || tablename FROM pg_tables"
        return frozenset(name for (name,) in self._connection.execute(query))

    def connect(self) -> Check:
        """Whether PostgreSQL answers; looks at the outboxes for the first time."""
        try:
            parameters = connection_parameters(self._url, "sentineliq-doctor", _LIMITS)
            connection = psycopg.connect(**parameters, autocommit=True)
        except psycopg.Error as error:
            seen = str(error).strip().splitlines()[0]
            return Check("PostgreSQL", "problem", seen, start_step("DATABASE_URL"))
        self._connection = connection
        # Row-level security shows the platform all rows.
        connection.execute("SELECT set_config('sentineliq.tenant', '*', false)")
        self._first_look = {service: self._outbox(service) for service in SERVICES}
        self._looked_at = time.monotonic()
        info = connection.info
        version = info.parameter_status("server_version")
        return Check("PostgreSQL", "ok", f"{version} at {info.host}:{info.port}")

    def migrations(self, service: ServiceName) -> Check:
        """Whether a schema is at the newest version."""
        row = self._row(
            "SELECT max(version_num) FROM {}.alembic_version", service, "alembic_version"
        )
        current = row[0] if row else None
        pending = [
            revision for revision in revisions(service) if current is None or revision > current
        ]
        subject = f"{service} migrations"
        if pending:
            step = f"run `python -m services.{service} migrate`"
            return Check(subject, "problem", f"not applied: {', '.join(pending)}", step)
        return Check(subject, "ok", "current")

    def outbox(self, service: ServiceName) -> Check:
        """Whether the events of an outbox leave it: looks a second time."""
        time.sleep(max(0.0, self._looked_at + _BETWEEN_LOOKS - time.monotonic()))
        first = self._first_look[service]
        second = self._outbox(service)
        subject = f"{service} outbox"
        age = timedelta(seconds=round(second.seconds or 0))
        if second.refused:
            step = "they are tried again for two minutes, then parked; see logs/celery.log"
            seen = f"Kafka refuses {second.refused:,} events; the oldest is {age} old"
            return Check(subject, "problem", seen, step)
        if second.oldest is not None and second.oldest == first.oldest:
            step = (
                f"start `python -m services.{service} consumer`, which publishes it; "
                "see logs/celery.log"
            )
            seen = f"{second.waiting:,} events wait and none has left; the oldest is {age} old"
            return Check(subject, "problem", seen, step)
        if second.parked:
            step = f"see `sentineliq events parked list --service {service}`"
            return Check(subject, "problem", f"Kafka refuses {second.parked:,} events", step)
        oldest = f"; the oldest is {age} old" if second.waiting else ""
        return Check(subject, "ok", f"{second.waiting:,} events wait{oldest}")

    def sweeps(self, service: ServiceName) -> Check:
        """Whether the service looks for its own rows that wait."""
        row = self._row(_SWEEPS, service, "sweep")
        subject = f"{service} sweeps"
        if row is None or not row[0]:
            return Check(subject, "ok", "none has run yet")
        count, overdue, failed = row
        if overdue:
            step = f"start `python -m services.{service} consumer`, which runs them"
            return Check(subject, "problem", f"not run for more than a minute: {overdue}", step)
        if failed:
            return Check(subject, "look", f"failed last: {failed}", "see logs/error.log")
        return Check(subject, "ok", f"{count} run on time")

    def growth(self) -> Check:
        """Whether the disk has room for the days to come."""
        if self._connection is None:
            return check_growth([])
        with suppress(*_MISSING):
            statement = sql.SQL(GROWTH_QUERY).format(sql.Identifier("scheduler"))
            return check_growth([Growth(*row) for row in self._connection.execute(statement)])
        return check_growth([])

    def consumers(self, service: ServiceName) -> list[Check]:
        """Halted partitions of a service, and places where its logs lost records; empty if none."""
        checks = []
        halted = self._row(_HALTED, service, "consumer_offset")
        if halted is not None and halted[0] is not None:
            partitions, since, reason = halted
            seen = f"halted since {since:%Y-%m-%d %H:%M}: {partitions}. {reason}"
            step = (
                "`sentineliq dead list` and the log show why; "
                "`sentineliq consumers release TOPIC` lets it go on"
            )
            checks.append(Check(f"{service} partitions", "problem", seen, step))
        gaps = self._row(_GAPS, service, "log_gap")
        if gaps is not None and gaps[0]:
            count, open_count, places, latest = gaps
            seen = f"{count:,} gaps in 7 days, the last {latest:%Y-%m-%d %H:%M}: {places}"
            status: Status = "problem" if open_count else "look"
            step = "`sentineliq consumers gaps` says what was lost, and what to do"
            checks.append(Check(f"{service} logs", status, seen, step))
        return checks

    def unfinished_work(self, service: ServiceName) -> list[Check]:
        """Runs that were published and not applied, rows that upkeep fails on; empty if none."""
        checks = []
        unconfirmed = self._row(_UNCONFIRMED, service, "feed")
        if unconfirmed is not None and unconfirmed[0]:
            count, since, name = unconfirmed
            seen = (
                f"the last run of {count:,} feeds is unconfirmed, "
                f"that of {name} since {since:%Y-%m-%d %H:%M}"
            )
            step = "does the observables consumer read? then `sentineliq feeds resync NAME`"
            checks.append(Check(f"{service} runs", "look", seen, step))
        incomplete = self._row(_INCOMPLETE, service, "run_expectation")
        if incomplete is not None and incomplete[0]:
            count, since = incomplete
            seen = f"chunks of {count:,} runs did not arrive, since {since:%Y-%m-%d %H:%M}"
            step = "their feeds say everything again; if not, `sentineliq feeds resync NAME`"
            checks.append(Check(f"{service} runs", "look", seen, step))
        set_aside = self._row(_SET_ASIDE, service, "failed_row")
        if set_aside is not None and set_aside[0]:
            count, works, reason = set_aside
            seen = f"{count:,} set aside in 7 days ({works}); the last: {reason}"
            step = f"the table {service}.failed_row has the reasons"
            checks.append(Check(f"{service} rows", "look", seen, step))
        return checks

    def _outbox(self, service: ServiceName) -> OutboxState:
        # Without a schema there is no row; the check of the migrations reports it.
        row = self._row(_OUTBOX, service, "outbox")
        return OutboxState(*row) if row else OutboxState(None, 0, None, 0, 0)

    def _row(self, query: Any, service: ServiceName, table: str) -> tuple[Any, ...] | None:
        """The row of a query in a service's schema; None where the table does not exist.

        Which tables there are is looked up first: PostgreSQL's log tells of each query that fails.
        """
        if self._connection is None or f"{service}.{table}" not in self._tables:
            return None
        with suppress(*_MISSING):
            statement = sql.SQL(query).format(sql.Identifier(service))
            return self._connection.execute(statement).fetchone()
        return None


def revisions(service: ServiceName) -> list[str]:
    """A service's migrations, oldest first: `0002_x.py` holds the revision `<service>_0002`."""
    folder = Path(services.__path__[0]) / service / "migrations"
    return sorted(f"{service}_{path.name[:4]}" for path in folder.glob("[0-9]*_*.py"))

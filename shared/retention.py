"""Retention: how long the rows of each table stay, and how they are deleted.

Each service declares in `retention/policies.py` a policy for each of its tables: after how many
days rows go, or why they stay. A test compares the declarations with the tables of a migrated
database. Once a day the task `<service>.tasks.prune_tables` deletes what is over.

Rows are deleted in batches, each in a transaction of its own. A batch covers some blocks of the
table's file, so that one pass reads the table once and needs no index. Rows that another
transaction has locked are left for the next day: a batch waits for nobody.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from shared.database import PLATFORM, Database
from shared.errors import InvalidInput
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_BLOCKS: Final = 256
"""Blocks of a batch: 2 MiB, some ten thousand rows at most."""
_ROWS: Final = 5_000
"""Rows of a batch that a function of the schema deletes."""
_STATEMENT_SECONDS: Final = 60
_PRUNE_SECONDS: Final = 480.0
"""Seconds of one run of the task, which are less than the limit of a task."""

_CUTOFF: Final = sa.text("SELECT now() - make_interval(days => :days)")
_SIZE: Final = sa.text(
    "SELECT pg_relation_size(CAST(:table AS regclass)) / current_setting('block_size')::bigint"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long the rows of a table stay.

    Attributes:
        table: its name in the service's schema.
        reason: why that long; for rows that stay, why they may.
        days: rows whose `age` is further back go; None where rows stay.
        minimum: the fewest days that an operator may set.
        age: the column with a row's time.
        condition: an SQL condition that rows must meet as well in order to go.
        clears: a column that is emptied, where the row itself stays.
        function: a function of the schema that deletes a batch of rows, `(before, rows)`, for a
            table whose rows the service's role may not delete.
        group: the name under which several tables have one number of days.
    """

    table: str
    reason: str
    days: int | None = None
    minimum: int = 1
    age: str = ""
    condition: str = "true"
    clears: str = ""
    function: str = ""
    group: str = ""

    @property
    def name(self) -> str:
        """The name in `SENTINELIQ_RETENTION_DAYS`, behind the service's."""
        column = f".{self.clears}" if self.clears else ""
        return self.group or f"{self.table}{column}"


INFRASTRUCTURE: Final = (
    RetentionPolicy(table="alembic_version", reason="One row: the version of the schema."),
    RetentionPolicy(
        table="token",
        reason="Which tokens are in use, and which were revoked.",
        days=30,
        age="expires_at",
    ),
    RetentionPolicy(
        table="audit",
        reason="Who changed what; the service itself can delete nothing that is younger.",
        days=400,
        minimum=31,
        age="recorded_at",
        function="prune_audit",
    ),
    RetentionPolicy(
        table="consumer_offset", reason="One row for each partition of each consumed topic."
    ),
    RetentionPolicy(
        table="log_gap", reason="A log seldom loses records, and where it did must be traceable."
    ),
    RetentionPolicy(
        table="outbox",
        reason=(
            "The sweep `outbox` deletes an event some hours after Kafka has acknowledged it. "
            "What Kafka refuses stays until an operator retries or discards it."
        ),
    ),
    RetentionPolicy(table="sweep", reason="One row for each sweep of the service."),
)
QUOTAS: Final = (
    RetentionPolicy(
        table="quota", reason="The limits of tenants stay until operators change them."
    ),
    RetentionPolicy(
        table="quota_use",
        reason="What was used in a time that has long passed means nothing.",
        days=8,
        age="started_at",
    ),
)
"""The policies of services with quotas."""
"""The policies of the tables that every service has."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a run has deleted.

    Attributes:
        pruned: rows by the name of the policy.
        is_complete: False if the time was up before all tables were through.
    """

    pruned: dict[str, int]
    is_complete: bool

    def as_dict(self) -> dict[str, object]:
        """The result of a task."""
        return {"status": "ok" if self.is_complete else "partial", "pruned": self.pruned}


def retention_days(
    service: str, policies: Iterable[RetentionPolicy], configured: Mapping[str, int]
) -> dict[str, int]:
    """Return the days of each policy that has some, by its name.

    Args:
        service: the service's name.
        policies: the service's.
        configured: days by `<service>.<name>`, which replace the policies' own.

    Raises:
        InvalidInput: a configured name is no policy's, or has fewer days than it needs.
    """
    expiring = {policy.name: policy for policy in policies if policy.days is not None}
    own = {
        name.removeprefix(f"{service}."): days
        for name, days in configured.items()
        if name.startswith(f"{service}.")
    }
    for name, days in own.items():
        if name not in expiring:
            raise InvalidInput(
                f"SENTINELIQ_RETENTION_DAYS: {service}.{name} is not one of "
                f"{', '.join(sorted(expiring))}.",
                field="retention_days",
            )
        if days < expiring[name].minimum:
            raise InvalidInput(
                f"SENTINELIQ_RETENTION_DAYS: {service}.{name} needs at least "
                f"{expiring[name].minimum} days.",
                field="retention_days",
            )
    return {name: own.get(name, policy.days or 0) for name, policy in expiring.items()}


def prune(
    database: Database,
    settings: Settings,
    policies: Iterable[RetentionPolicy],
    *,
    names: Collection[str] = (),
    days: int | None = None,
    seconds: float = _PRUNE_SECONDS,
) -> PruneReport:
    """Delete the rows whose time is over.

    Args:
        database: the service's.
        settings: may have other days than the policies.
        policies: of all tables of the service, in the order to go through them.
        names: of the policies to apply; all of them if there are none.
        days: replaces the days of all of them.
        seconds: no batch begins later than this.

    Raises:
        InvalidInput: the configured days fit no policy.
        Unavailable: the database does not answer. What was deleted stays deleted.
    """
    policies = list(policies)
    limits = retention_days(database.service, policies, settings.retention_days)
    expiring = [policy for policy in policies if policy.days is not None]
    chosen = [policy for policy in expiring if not names or policy.name in names]
    deadline = time.monotonic() + seconds
    pruned = dict.fromkeys((policy.name for policy in chosen), 0)
    for policy in chosen:
        limit = limits[policy.name] if days is None else max(days, policy.minimum)
        for count in _batches(database, policy, limit):
            pruned[policy.name] += count
            if time.monotonic() > deadline:
                log.warning("retention.stopped", table=policy.table, pruned=pruned)
                return PruneReport(pruned, is_complete=False)
    log.info("retention.ended", pruned=pruned)
    return PruneReport(pruned, is_complete=True)


def _batches(database: Database, policy: RetentionPolicy, days: int) -> Iterator[int]:
    """Delete batch by batch; yields the rows of each."""
    with database.transaction(PLATFORM) as session:
        cutoff = session.execute(_CUTOFF, {"days": days}).scalar_one()
        blocks = session.execute(_SIZE, {"table": policy.table}).scalar_one()
    if policy.function:
        yield from _function_batches(database, policy, cutoff)
        return
    statement = _batch_statement(policy)
    for start in range(0, blocks, _BLOCKS):
        parameters = {
            "first": f"({start},0)",
            "behind": f"({start + _BLOCKS},0)",
            "cutoff": cutoff,
        }
        with database.transaction(PLATFORM, seconds=_STATEMENT_SECONDS) as session:
            count = len(session.execute(statement, parameters).all())
        yield count


def _function_batches(
    database: Database, policy: RetentionPolicy, cutoff: datetime
) -> Iterator[int]:
    statement = sa.text(f"SELECT {policy.function}(:cutoff, :rows)")
    count = _ROWS
    while count == _ROWS:
        with database.transaction(PLATFORM, seconds=_STATEMENT_SECONDS) as session:
            parameters = {"cutoff": cutoff, "rows": _ROWS}
            count = session.execute(statement, parameters).scalar_one()
        yield count


def _batch_statement(policy: RetentionPolicy) -> sa.TextClause:
    table = policy.table
    is_filled = f"AND {table}.{policy.clears} IS NOT NULL " if policy.clears else ""
    rows = (
        f"SELECT ctid FROM {table} WHERE ctid >= CAST(:first AS tid) "  # noqa: S608  # declared
        f"AND ctid < CAST(:behind AS tid) AND {table}.{policy.age} < :cutoff {is_filled}"
        f"AND ({policy.condition}) FOR UPDATE SKIP LOCKED"
    )
    change = f"DELETE FROM {table}"  # noqa: S608
    if policy.clears:
        change = f"UPDATE {table} SET {policy.clears} = NULL"  # noqa: S608
    return sa.text(f"{change} WHERE ctid = ANY(ARRAY({rows})) RETURNING 1")


def missing_policies(
    tables: Iterable[str], policies: Iterable[RetentionPolicy]
) -> tuple[list[str], list[str]]:
    """Return the tables without a policy, and the policies without a table."""
    declared = {policy.table for policy in policies}
    stored = set(tables)
    return sorted(stored - declared), sorted(declared - stored)

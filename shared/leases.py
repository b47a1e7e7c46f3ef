"""Leased work: rows that workers claim for a while, keep, and bring to an end.

Everything that must happen is a row, and the row says who works on it until when. One mechanism
serves feed runs, ATT&CK imports, deliveries and provider queues. A repository declares its table
once and calls the verbs::

    DELIVERIES = LeasedTable(DELIVERY, lease=timedelta(seconds=60), running="delivering")

    rows = DELIVERIES.claim(session, holder, limit=50)       # other workers pass over these rows
    DELIVERIES.renew(session, holder, keys)                  # the keys that the holder still has
    DELIVERIES.complete(session, holder, key, "delivered")   # the end
    DELIVERIES.retry(session, holder, key, seconds=60, error=problem)
    DELIVERIES.fail(session, holder, key, problem)
    DELIVERIES.hand_back(session, holder, key)               # the worker stops

The life of a row::

    waiting ── claim ──▶ running ── complete, fail ──▶ an end
       ▲                  │   ▲
       └──── retry ───────┘   └── claim, once the lease has ended: the worker is lost

A table needs a primary key, `holder uuid` and `lease_until timestamptz`. It may have `state text`,
`attempts int` (claims so far), `next_attempt_at timestamptz`, `error jsonb`, `started_at` and
`finished_at`: the verbs write those that exist. A table without `state` is a queue: it has no end,
and `release` gives it back.

The holder is the fence. Each verb writes only where the row's holder is the caller, so that a
worker that was frozen for longer than its lease changes nothing when it wakes up. All times are
the database's; the clocks of workers do not count.

An index on `coalesce(lease_until, next_attempt_at)` over the open states serves `claim` and `due`;
one that begins with `tenant` serves `waiting_tenants`, for work that tenants take turns at
(`shared/turns.py`).
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Protocol, Self
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared import shutdown
from shared.database import Database
from shared.errors import Conflict, Unavailable
from shared.frozen_tenants import is_frozen
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

Key = Any
"""The value of a table's primary key; a tuple where it has several columns."""

Values = Mapping[str, Any]
"""Further columns to write, by name: values or SQL expressions."""

_NOW: Final = sa.func.now()


class LeaseLost(Conflict):
    """Another worker has taken the row over; the caller's transaction must not be committed."""


class ShutdownRequested(Unavailable):
    """The worker stops: its row goes back, and another worker goes on."""

    code = "shutdown"


class LeasedTable:
    """The SQL of one table's leased work.

    Args:
        table: with the columns that the module names.
        lease: how long a claim lasts without being renewed. A lost worker's rows wait that long.
        waiting: the state of rows that no worker has.
        running: the state of rows that a worker has.
    """

    def __init__(
        self,
        table: sa.Table,
        *,
        lease: timedelta,
        waiting: str = "queued",
        running: str = "running",
    ) -> None:
        self.table = table
        self.lease = lease
        self.waiting = waiting
        self.running = running
        self._key = tuple(table.primary_key.columns)

    # Which rows

    @property
    def claimable(self) -> sa.ColumnElement[bool]:
        """Rows that a worker may take now: due, and free or left by a lost worker."""
        columns = self.table.c
        if "state" not in columns:
            return sa.or_(columns.holder.is_(None), columns.lease_until <= _NOW)
        is_open = columns.state.in_([self.waiting, self.running])
        return sa.and_(is_open, self._due_at <= _NOW)

    @property
    def _due_at(self) -> sa.ColumnElement[Any]:
        columns = self.table.c
        if "next_attempt_at" not in columns:
            return columns.lease_until
        return sa.func.coalesce(columns.lease_until, columns.next_attempt_at)

    @property
    def _order(self) -> sa.ColumnElement[Any]:
        # As the index on the due time has it; the rows of a queue are free when they have no time.
        return self._due_at if "state" in self.table.c else self._due_at.nulls_first()

    def _matches(self, key: Key) -> sa.ColumnElement[bool]:
        parts = key if isinstance(key, tuple) else (key,)
        pairs = zip(self._key, parts, strict=True)
        return sa.and_(*(column == part for column, part in pairs))

    def _key_of(self, row: sa.Row[Any]) -> Key:
        key = tuple(row[: len(self._key)])
        return key[0] if len(key) == 1 else key

    def _is_owned(self, holder: UUID) -> sa.ColumnElement[bool]:
        columns = self.table.c
        if "state" not in columns:
            return columns.holder == holder
        return sa.and_(columns.holder == holder, columns.state == self.running)

    # The verbs

    def claim(
        self,
        session: Session,
        holder: UUID,
        *,
        limit: int = 1,
        where: sa.ColumnElement[bool] | None = None,
        order_by: Sequence[sa.ColumnElement[Any]] = (),
        values: Values | None = None,
    ) -> Sequence[sa.Row[Any]]:
        """Take rows that are due, oldest first; rows that others are taking are passed over.

        Args:
            session: the transaction; once it is committed the rows are the holder's.
            holder: the worker, or one claim of it: a new UUID for each that must be told apart.
            limit: most rows.
            where: narrows the choice, for instance to one id.
            order_by: which rows go first, instead of those that are due the longest.
            values: further columns to write; expressions see the row as it was before.

        Returns:
            The rows as they are now, all columns.
        """
        query = sa.select(*self._key).where(self.claimable)
        if where is not None:
            query = query.where(where)
        query = query.order_by(*(order_by or [self._order])).limit(limit)
        # Materialized: as the inner side of a nested loop the limit would count for each outer row.
        free = query.with_for_update(skip_locked=True).cte("free").prefix_with("MATERIALIZED")
        joined = sa.and_(*(column == free.c[column.name] for column in self._key))
        changes = {"holder": holder, "lease_until": _NOW + self.lease}
        changes |= self._present(state=self.running)
        if "attempts" in self.table.c:
            changes["attempts"] = self.table.c.attempts + 1
        if "started_at" in self.table.c:
            changes["started_at"] = sa.func.coalesce(self.table.c.started_at, _NOW)
        statement = sa.update(self.table).where(joined).values(changes | dict(values or {}))
        return session.execute(statement.returning(self.table)).all()

    def renew(
        self,
        session: Session,
        holder: UUID,
        keys: Collection[Key] | None = None,
        values: Values | None = None,
    ) -> set[Key]:
        """Let the holder's leases last from now on; the keys that it still has.

        Args:
            session: the transaction.
            holder: who claimed them.
            keys: which of its rows; all when None.
            values: further columns to write.
        """
        owned = self._is_owned(holder)
        if keys is not None:
            owned = sa.and_(owned, sa.or_(sa.false(), *map(self._matches, keys)))
        changes = {"lease_until": _NOW + self.lease, **(values or {})}
        statement = sa.update(self.table).where(owned).values(changes).returning(*self._key)
        return {self._key_of(row) for row in session.execute(statement)}

    def change(self, session: Session, holder: UUID, key: Key, values: Values) -> None:
        """Write columns of a row while the holder has it.

        Raises:
            LeaseLost: another worker has the row, or it has come to its end.
        """
        owned = sa.and_(self._matches(key), self._is_owned(holder))
        statement = sa.update(self.table).where(owned).values(dict(values)).returning(*self._key)
        if session.execute(statement).one_or_none() is None:
            raise LeaseLost(f"Another worker has taken over {self.table.name} {key}.")

    def complete(
        self, session: Session, holder: UUID, key: Key, state: str, values: Values | None = None
    ) -> None:
        """Bring a row to its end.

        Raises:
            LeaseLost: another worker has the row.
        """
        changes = self._free() | self._present(state=state, finished_at=_NOW, error=sa.null())
        self.change(session, holder, key, {**changes, **(values or {})})

    def fail(
        self,
        session: Session,
        holder: UUID,
        key: Key,
        error: Mapping[str, Any],
        values: Values | None = None,
    ) -> None:
        """Bring a row to the end `failed`, with the reason.

        Raises:
            LeaseLost: another worker has the row.
        """
        self.complete(session, holder, key, "failed", {"error": dict(error), **(values or {})})

    def retry(
        self,
        session: Session,
        holder: UUID,
        key: Key,
        *,
        seconds: float,
        error: Mapping[str, Any] | None = None,
        values: Values | None = None,
    ) -> None:
        """Let a row wait for its next attempt.

        Args:
            session: the transaction.
            holder: who claimed it.
            key: the row's.
            seconds: until it is due again.
            error: why it has to wait; the reason of the attempt before stays when None.
            values: further columns to write.

        Raises:
            LeaseLost: another worker has the row.
        """
        changes = self._free() | self._present(
            state=self.waiting, next_attempt_at=_NOW + timedelta(seconds=seconds)
        )
        if error is not None:
            changes["error"] = dict(error)
        self.change(session, holder, key, {**changes, **(values or {})})

    def release(
        self, session: Session, holder: UUID, key: Key, values: Values | None = None
    ) -> None:
        """Give a row back as it is: another worker may claim it at once.

        Raises:
            LeaseLost: another worker has the row.
        """
        changes = self._free() | self._present(state=self.waiting, next_attempt_at=_NOW)
        self.change(session, holder, key, {**changes, **(values or {})})

    def hand_back(
        self, session: Session, holder: UUID, key: Key, values: Values | None = None
    ) -> None:
        """Give a row back as if it had not been claimed, because the worker stops.

        Raises:
            LeaseLost: another worker has the row.
        """
        changes: dict[str, Any] = {}
        if "attempts" in self.table.c:
            changes["attempts"] = self.table.c.attempts - 1
        self.release(session, holder, key, {**changes, **(values or {})})

    # Turns by tenant

    def waiting_tenants(self, session: Session) -> list[str]:
        """The tenants that have rows to claim and are not frozen; for tables with a `tenant`.

        An index on the tenant and the due time over the open states finds each tenant at once,
        however many rows it has.
        """
        return list(session.scalars(self._waiting_tenants))

    @cached_property
    def _waiting_tenants(self) -> sa.Select[tuple[str]]:
        # Written once: that takes as long as its execution.
        tenant = self.table.c.tenant
        is_open: sa.ColumnElement[bool] = sa.true()
        if "state" in self.table.c:
            is_open = self.table.c.state.in_([self.waiting, self.running])
        walk = sa.select(sa.func.min(tenant).label("name")).where(is_open).cte("walk", True)
        after = sa.select(sa.func.min(tenant)).where(is_open, tenant > walk.c.name)
        step = sa.select(after.scalar_subquery()).where(walk.c.name.is_not(None))
        walk = walk.union_all(step)
        has_work = sa.exists().where(tenant == walk.c.name, self.claimable)
        is_named = walk.c.name.is_not(None)
        return sa.select(walk.c.name).where(is_named, has_work, ~is_frozen(walk.c.name))

    # For sweeps

    def due(self, session: Session, limit: int | None = None) -> list[Key]:
        """Keys of claimable rows, those that are due the longest first."""
        query = sa.select(*self._key).where(self.claimable).order_by(self._due_at).limit(limit)
        return [self._key_of(row) for row in session.execute(query)]

    def give_up(
        self, session: Session, most_attempts: int, error: Mapping[str, Any]
    ) -> Sequence[sa.Row[Any]]:
        """Fail rows that were claimed so often that they seem to kill their workers.

        Returns:
            The rows as they are now.
        """
        columns = self.table.c
        hopeless = sa.and_(
            self.claimable, columns.state == self.running, columns.attempts >= most_attempts
        )
        changes = self._free() | self._present(state="failed", finished_at=_NOW, error=dict(error))
        statement = sa.update(self.table).where(hopeless).values(changes)
        return session.execute(statement.returning(self.table)).all()

    def _free(self) -> dict[str, Any]:
        return {"holder": None, "lease_until": None}

    def _present(self, **values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in self.table.c}


class Renewal(Protocol):
    """Renews a lease in a transaction; whether the row is still the holder's."""

    def __call__(self, session: Session) -> bool:
        """Return whether the lease was renewed."""
        ...


class LeaseKeeper:
    """Renews a lease from a thread of its own while a block runs, whatever the block computes.

    Args:
        database: the service's.
        tenant: whose transaction renews it.
        renew: does so.
        every: seconds between two renewals; a third of the lease leaves room for two that fail.
    """

    def __init__(self, database: Database, tenant: str, renew: Renewal, every: float) -> None:
        self._database = database
        self._tenant = tenant
        self._renew = renew
        self._every = every
        self._is_over = threading.Event()
        self._is_lost = False
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def check(self) -> None:
        """Go on only while the lease is there and the worker is to go on.

        Raises:
            LeaseLost: another worker has the row.
            ShutdownRequested: the worker stops; hand the row back.
        """
        if self._is_lost:
            raise LeaseLost("Another worker has taken this work over.")
        if shutdown.is_requested():
            raise ShutdownRequested("The worker stops; another one goes on with this work.")

    def _run(self) -> None:
        while not self._is_over.wait(self._every):
            try:
                with self._database.transaction(self._tenant) as session:
                    self._is_lost = not self._renew(session)
            except Unavailable as error:
                log.warning("lease.renewal_failed", reason=error.message)
            if self._is_lost:
                return

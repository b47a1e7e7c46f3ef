"""Sweeps: what a service does for its own rows at intervals, in its consumer process.

A queue message is a hint, and hints get lost; a row does not. A service therefore looks for rows
that wait for something itself. It needs neither Beat nor an API for that. One consumer at a time
runs a sweep: its row in the table `sweep` is leased, and says when the sweep is due again. All
times are the database's.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError, Unavailable
from shared.leases import LeasedTable, LeaseKeeper, LeaseLost
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import SWEEP_SECONDS

log = get_logger(__name__)

_TIME: Final = sa.DateTime(timezone=True)
SWEEP: Final = sa.Table(
    "sweep",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("due_at", _TIME),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
    sa.Column("error", sa.Text),
)
_SWEEPS: Final = LeasedTable(SWEEP, lease=timedelta(seconds=15))
_RENEWAL_SECONDS: Final = _SWEEPS.lease.total_seconds() / 3
_STOP_SECONDS: Final = 3.0
_NOW: Final = sa.func.now()


@dataclass(frozen=True, slots=True)
class Sweep:
    """Work that a service's consumer process does at an interval.

    Attributes:
        name: unique in the service.
        seconds: from the end of one run to the beginning of the next.
        run: does the work; its result is logged if it is true. It must be idempotent, since a
            consumer that is lost repeats it, and short, since no other consumer runs it meanwhile.
        longest: seconds after which the lease is not renewed any more: another consumer may run it.
    """

    name: str
    seconds: float
    run: Callable[[Database], object]
    longest: float = 600.0


class SweepThreads:
    """Runs a service's sweeps, each in a thread of its own, until it is stopped.

    An error is logged and counted, and ends neither the thread nor the process.

    Args:
        database: the service's.
        sweeps: of the service.
    """

    def __init__(self, database: Database, sweeps: Sequence[Sweep]) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._repeat, args=(sweep,), name=f"sweep-{sweep.name}", daemon=True
            )
            for sweep in sweeps
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the runs at hand; one that takes longer than a few seconds is abandoned.

        Another consumer repeats it when its lease ends.
        """
        self._stopping.set()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _repeat(self, sweep: Sweep) -> None:
        # Consumers that start together do not ask together.
        pause = random.uniform(0, min(1.0, sweep.seconds))  # noqa: S311
        while not self._stopping.wait(pause):
            pause = sweep.seconds
            try:
                run_sweep(self._database, sweep)
            except Unavailable as error:
                log.warning("sweep.postponed", sweep=sweep.name, reason=error.message)
            except Exception:  # the thread must survive whatever happens
                log.exception("sweep.broke_off", sweep=sweep.name)


def run_sweep(database: Database, sweep: Sweep) -> bool:
    """Run a sweep if it is due and no other consumer runs it; whether it ran.

    Raises:
        Unavailable: the database does not answer.
    """
    holder = uuid4()
    with database.transaction(PLATFORM) as session:
        if not _claim(session, sweep, holder):
            return False
    started = time.perf_counter()
    renew = partial(_renew, sweep=sweep, holder=holder, end=time.monotonic() + sweep.longest)
    with LeaseKeeper(database, PLATFORM, renew, _RENEWAL_SECONDS):
        error = _attempt(database, sweep)
    outcome = "failed" if error else "ok"
    SWEEP_SECONDS.labels(database.service, sweep.name, outcome).observe(
        time.perf_counter() - started
    )
    try:
        with database.transaction(PLATFORM) as session:
            _release(session, sweep, holder, error)
    except LeaseLost:
        log.warning("sweep.superseded", sweep=sweep.name)
    return True


def _attempt(database: Database, sweep: Sweep) -> str | None:
    """Do a sweep's work; the error's text if it failed."""
    try:
        result = sweep.run(database)
    except SentinelIQError as error:
        log.warning("sweep.failed", sweep=sweep.name, code=error.code, reason=error.message)
        return error.message
    except Exception as error:  # a bug in one sweep must not stop the others
        log.exception("sweep.failed", sweep=sweep.name)
        return f"{type(error).__name__}: {error}"
    if result:
        log.info("sweep.ended", sweep=sweep.name, result=result)
    return None


def _claim(session: Session, sweep: Sweep, holder: UUID) -> bool:
    statement = pg.insert(SWEEP).values(name=sweep.name)
    session.execute(statement.on_conflict_do_nothing())
    is_due = sa.and_(SWEEP.c.name == sweep.name, SWEEP.c.due_at <= _NOW)
    return bool(_SWEEPS.claim(session, holder, where=is_due, values={"started_at": _NOW}))


def _renew(session: Session, *, sweep: Sweep, holder: UUID, end: float) -> bool:
    return time.monotonic() < end and bool(_SWEEPS.renew(session, holder, [sweep.name]))


def _release(session: Session, sweep: Sweep, holder: UUID, error: str | None) -> None:
    values = {
        "due_at": _NOW + timedelta(seconds=sweep.seconds),
        "finished_at": _NOW,
        "error": error,
    }
    _SWEEPS.release(session, holder, sweep.name, values)

"""Celery Beat on schedules in PostgreSQL.

`celery.beat.Service` runs it; `PostgresScheduler` takes the place of Celery's own scheduler. It has
no state between two ticks, so that an edit is effective with the next tick and any number of Beats
may run at once.
Why not a library: docs/adr/0003-own-postgres-scheduler.md.
"""

import os
import signal
import socket
import time
from functools import cached_property
from types import FrameType
from typing import Any, Final
from uuid import uuid4

from celery import Celery, beat
from kombu.connection import Connection

from services.scheduler import NAME
from services.scheduler.beat.messages import full_queues, send_firing
from services.scheduler.beat.repository import PendingFiring, heartbeat
from services.scheduler.beat.rounds import CLAIM_BATCH, SEND_BATCH, claim_due, send_pending
from services.scheduler.schedules.core_schedules import CORE_SCHEDULES
from services.scheduler.schedules.service import reconcile_core
from services.scheduler.worker import celery
from shared.database import PLATFORM, Database
from shared.database import database as open_database
from shared.errors import Unavailable
from shared.runtime.probe import notify_ready, serve_probes
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LONGEST_PAUSE: Final = 0.5
"""Seconds until the table is read again. Edits and manual firings wait at most this long."""

_SHORTEST_PAUSE: Final = 0.05
_PAUSE_AFTER_FAILURE: Final = 1.0
_HEARTBEAT_EVERY: Final = 1.0
_STALE_AFTER: Final = 10.0
_GRACE_TO_STOP: Final = 1.5


class PostgresScheduler(beat.Scheduler):
    """Sends the tasks of due schedules, by name, to the queues of their services.

    Also works as the scheduler `services.scheduler.beat.scheduler:PostgresScheduler` of
    `celery -A services.scheduler.worker beat`.

    Args:
        app: the Celery app that sends.
        database: the scheduler's; by default the environment's.
    """

    def __init__(self, app: Celery, database: Database | None = None, **options: Any) -> None:
        self.id = uuid4()
        self.ready = False
        self.stopping = False
        self._database = database or open_database(NAME)
        self._fired = False
        self._last_beat = float("-inf")
        self._last_tick = float("-inf")
        self._host = socket.gethostname()
        # A second message for each one would halve the pace; workers report their tasks anyway.
        app.conf.task_send_sent_event = False
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Load nothing, and add no default entries: the table is the schedule."""

    def tick(self, *_: Any, **__: Any) -> float:
        """Claim and send what is due; Celery's loop calls it.

        Returns:
            Seconds until the next tick.
        """
        try:
            pause = self._round()
        except Unavailable as error:
            log.warning("beat.tick_failed", reason=error.message)
            return _PAUSE_AFTER_FAILURE
        self._last_tick = time.monotonic()
        return pause

    def check(self) -> None:
        """Require a recent tick, for the probe.

        Raises:
            Unavailable: the last tick is too long ago.
        """
        if time.monotonic() - self._last_tick > _STALE_AFTER:
            raise Unavailable(
                "Beat has not ticked for ten seconds: the database or the broker does not answer."
            )

    def _round(self) -> float:
        if not self.ready:
            self._begin()
        claimed = claim_due(self._database)
        self._record_heartbeat(fired=claimed.schedules > 0)
        self._send_pending()
        if not self.ready:
            self.ready = True
            notify_ready()
        if claimed.schedules == CLAIM_BATCH:
            return 0.0
        wait = LONGEST_PAUSE if claimed.seconds_to_next is None else claimed.seconds_to_next
        return min(max(wait, _SHORTEST_PAUSE), LONGEST_PAUSE)

    def _send_pending(self) -> None:
        while not self.stopping:
            if send_pending(self._database, self._send, full_queues()) < SEND_BATCH:
                return

    def _begin(self) -> None:
        with self._database.transaction(PLATFORM) as session:
            changed = reconcile_core(session, CORE_SCHEDULES)
        log.info("beat.started", beat=str(self.id), core_schedules_changed=changed)

    def _record_heartbeat(self, *, fired: bool) -> None:
        self._fired |= fired
        if time.monotonic() - self._last_beat < _HEARTBEAT_EVERY:
            return
        with self._database.transaction(PLATFORM) as session:
            heartbeat(session, self.id, self._host, os.getpid(), fired=self._fired)
        self._fired = False
        self._last_beat = time.monotonic()

    def _send(self, fire: PendingFiring) -> None:
        try:
            send_firing(self.app, fire, self.producer)
        except Unavailable:
            self.close()
            raise

    @cached_property
    def connection(self) -> Connection:
        """A connection that fails at once: without the broker, claims and heartbeats must go on."""
        options = {"max_retries": 1, "interval_start": 0}
        connection: Connection = self.app.connection_for_write(transport_options=options)
        return connection

    def _ensure_connected(self) -> Connection:
        return self.connection


def run(settings: Settings, database: Database) -> None:
    """Run Beat until a signal ends it."""
    service = beat.Service(celery, scheduler_cls=PostgresScheduler)
    scheduler: PostgresScheduler = service.scheduler

    def stop(_number: int, _frame: FrameType | None) -> None:
        scheduler.stopping = True
        service.stop()
        # A tick that waits for a dead network must not delay the end.
        signal.setitimer(signal.ITIMER_REAL, _GRACE_TO_STOP)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGALRM, end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, scheduler.check)
    service.start()
    signal.setitimer(signal.ITIMER_REAL, 0)
    database.close()
    log.info("stopped")

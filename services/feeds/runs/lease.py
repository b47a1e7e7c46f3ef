"""A run that this worker holds: its lease, and the ways it can end."""

import threading
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import sqlalchemy as sa

from services.feeds.health.service import watch
from services.feeds.runs.report import RunReport
from services.feeds.subscriptions import repository
from services.feeds.subscriptions.schemas import RELIABILITY
from shared.database import Database
from shared.errors import Conflict, SentinelIQError, Unavailable, UpstreamError
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, SOURCE, RunFinished
from shared.kafka.outbox import publish
from shared.runtime.celery import retry_delay
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

MAX_FAILURES: Final = 5
"""Failures of somebody else's server after which a run is given up."""
_HEARTBEAT: Final = 3.0


class Postponed(Exception):  # nothing went wrong
    """The run's turn has not come: somebody else is served first."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class LeasedRun:
    """A run in progress. Used as a context: within it the lease is renewed by a thread, whatever the worker computes.

    Attributes:
        row: the run's row as it was taken.
        feed: the feed's row.
        report: what the run did so far, also before it was taken over.
    """

    def __init__(self, database: Database, row: sa.Row[Any], feed: sa.Row[Any]) -> None:
        self.database = database
        self.row = row
        self.feed = feed
        self.report = RunReport.stored(row.report)
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def id(self) -> UUID:
        """The run's id."""
        run_id: UUID = self.row.id
        return run_id

    @property
    def tenant(self) -> str:
        """Whose run it is."""
        return str(self.row.tenant)

    @property
    def ref(self) -> FeedRef:
        """The feed, as events name it."""
        feed = self.feed
        return FeedRef(feed.id, feed.name, RELIABILITY[feed.reliability], feed.tlp, feed.kind)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Go on only while the run is ours.

        Raises:
            Conflict: another worker took it over.
        """
        if self._lost:
            raise Conflict("Another worker has taken this run over.")

    def _renew(self) -> None:
        while not self._over.wait(_HEARTBEAT):
            try:
                with self.database.transaction(self.tenant) as session:
                    self._lost = not repository.renew_lease(session, self.id, self.row.attempts)
            except Unavailable as error:
                log.warning("run.lease_not_renewed", run=str(self.id), reason=error.message)
            if self._lost:
                return

    def pin(self, payload: str, part: dict[str, Any]) -> None:
        """Note which payload is worked on, before anything of it is sent: another try takes the same one."""
        self._move({"payload": payload, "part": part})

    def part_done(self, feed_values: dict[str, Any]) -> None:
        """One part was sent on and acknowledged; the feed remembers it."""
        with self.database.transaction(self.tenant) as session:
            values = {"part": None, "report": self.report.as_dict()}
            if not repository.change_run(session, self.id, self.row.attempts, values):
                raise Conflict("Another worker has taken this run over.")
            self.feed = repository.update_feed(session, self.tenant, self.feed.id, feed_values)

    def _move(self, values: dict[str, Any]) -> None:
        with self.database.transaction(self.tenant) as session:
            if not repository.change_run(session, self.id, self.row.attempts, values):
                raise Conflict("Another worker has taken this run over.")

    def finish(self, state: str, feed_values: dict[str, Any] | None = None) -> dict[str, Any]:
        """The run ended well, or its feed's news are held back."""
        values = {
            "state": state,
            "finished_at": sa.func.now(),
            "report": self.report.as_dict(),
            "error": None,
        }
        self._end(values, state, feed_values)
        told = {"taken": self.report.taken, "seen": self.report.seen, "gone": self.report.gone}
        return {
            "status": state,
            "run": str(self.id),
            **told,
            "dropped": self.report.dropped.total(),
        }

    def postpone(self, why: Postponed) -> dict[str, Any]:
        """Put the run back into the queue; nothing went wrong."""
        self._move({"state": "queued", "lease_until": None, "next_attempt_at": _in(why.seconds)})
        return {"status": "postponed", "run": str(self.id), "reason": str(why)}

    def fail(self, error: SentinelIQError) -> dict[str, Any]:
        """Write down what went wrong: for another try when it may help, for good when not."""
        theirs = isinstance(error, UpstreamError)
        failures = self.row.failures + theirs
        again = isinstance(error, Unavailable) or (
            theirs and error.retryable and failures < MAX_FAILURES
        )
        values: dict[str, Any] = {
            "error": error.as_dict(),
            "failures": failures,
            "report": self.report.as_dict(),
        }
        if again and isinstance(error, UpstreamError | Unavailable):
            delay = retry_delay(error, max(1, failures))
            self._move(
                {**values, "state": "queued", "lease_until": None, "next_attempt_at": _in(delay)}
            )
        else:
            self._end(
                {**values, "state": "failed", "finished_at": sa.func.now()}, "failed", None, error
            )
        return {
            "status": "waiting" if again else "failed",
            "run": str(self.id),
            "error": error.as_dict(),
        }

    def _end(
        self,
        values: dict[str, Any],
        state: str,
        feed_values: dict[str, Any] | None,
        error: SentinelIQError | None = None,
    ) -> None:
        report = self.report
        told = {"code": error.code, "message": error.message} if error else None
        finished = RunFinished(
            self.ref,
            self.id,
            state,
            report.taken,
            dict(report.dropped),
            report.bytes,
            round(sum(report.stages.values()), 3),
            told,
            report.seen,
            report.gone,
        )
        with self.database.transaction(self.tenant) as session:
            if not repository.change_run(
                session, self.id, self.row.attempts, {**values, "lease_until": None}
            ):
                raise Conflict("Another worker has taken this run over.")
            if feed_values:
                repository.update_feed(session, self.tenant, self.feed.id, feed_values)
            watch(session, self.feed.id)
            publish(
                session,
                [Event(FINISHED, finished, self.tenant, SOURCE, str(self.feed.id).encode())],
            )


def _in(seconds: float) -> Any:
    return sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)

"""A run that this worker has claimed: its lease, its progress, and the ways it can end."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.health.assessment import MAX_RUNS
from services.feeds.health.service import update_health
from services.feeds.runs import repository
from services.feeds.runs.models import ClaimedRun, RunState, StoredDocument
from services.feeds.runs.report import RunReport
from services.feeds.runs.repository import RUNS
from services.feeds.subscriptions.models import Feed, FeedColumns, Quarantine
from services.feeds.subscriptions.service import load_feed, save_feed
from shared.database import Database
from shared.errors import SentinelIQError, Unavailable, UpstreamError
from shared.events import Event, derived_id
from shared.events.feeds import FINISHED, SOURCE, RunFinished
from shared.kafka.outbox import publish
from shared.leases import LeaseKeeper
from shared.runtime.celery import retry_delay

MAX_FAILURES: Final = 5
"""Failures of the provider after which a run is given up."""
_RENEWAL_SECONDS: Final = 3.0


class Postponed(Exception):  # nothing went wrong
    """The run's turn has not come: others are served first."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The end of an attempt at a run, as the task returns it."""

    status: str
    run_id: UUID
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"status": self.status, "run": str(self.run_id), **self.details}


class LeasedRun:
    """A run in progress.

    Attributes:
        lease: a context in which the lease is renewed by a thread.
        database: the service's.
        claim: the run as it was claimed.
        feed: the feed as it stands.
        report: of this attempt and those before it.
    """

    def __init__(self, database: Database, claim: ClaimedRun, feed: Feed) -> None:
        self.database = database
        self.claim = claim
        self.feed = feed
        self.report = RunReport.from_stored(claim.report)
        self.lease = LeaseKeeper(database, claim.tenant, self._renew, _RENEWAL_SECONDS)

    def _renew(self, session: Session) -> bool:
        return bool(RUNS.renew(session, self.claim.holder, [self.claim.id]))

    def check(self) -> None:
        """Go on only while this worker has the run.

        Raises:
            LeaseLost: another worker has it.
        """
        self.lease.check()

    def pin(self, document: StoredDocument) -> None:
        """Fix the document before anything of it is sent: another attempt reads the same."""
        with self.database.transaction(self.claim.tenant) as session:
            repository.pin_document(session, self.claim, document)

    def finish_document(self, changes: FeedColumns) -> None:
        """A document was sent and acknowledged: write the report and the feed's progress."""
        with self.database.transaction(self.claim.tenant) as session:
            repository.unpin_document(session, self.claim, self.report.as_dict())
            self.feed = save_feed(session, self.feed, changes)

    def finish(self, state: RunState, quarantine: Quarantine | None = None) -> AttemptOutcome:
        """End the run: its feed was read, or its last document went into quarantine."""
        claim = self.claim
        report = self.report
        with self.database.transaction(claim.tenant) as session:
            RUNS.complete(session, claim.holder, claim.id, state, {"report": report.as_dict()})
            if quarantine is not None:
                save_feed(session, self.feed, {"quarantine": quarantine.as_dict()})
            self._publish_end(session, state)
        details = {
            "taken": report.listed,
            "seen": report.seen,
            "gone": report.gone,
            "dropped": report.dropped.total(),
        }
        return AttemptOutcome(state, claim.id, details)

    def postpone(self, reason: Postponed) -> AttemptOutcome:
        """Put the run back into the queue; nothing went wrong."""
        claim = self.claim
        with self.database.transaction(claim.tenant) as session:
            RUNS.retry(session, claim.holder, claim.id, seconds=reason.seconds)
        return AttemptOutcome("postponed", claim.id, {"reason": str(reason)})

    def fail(self, error: SentinelIQError) -> AttemptOutcome:
        """End the run with an error, or let it wait for another attempt where that may help."""
        claim = self.claim
        failures = claim.failures + isinstance(error, UpstreamError)
        values = {"failures": failures, "report": self.report.as_dict()}
        may_retry = isinstance(error, Unavailable) or (
            isinstance(error, UpstreamError) and error.retryable and failures < MAX_FAILURES
        )
        with self.database.transaction(claim.tenant) as session:
            if may_retry and isinstance(error, UpstreamError | Unavailable):
                RUNS.retry(
                    session,
                    claim.holder,
                    claim.id,
                    seconds=retry_delay(error, max(1, failures)),
                    error=error.as_dict(),
                    values=values,
                )
            else:
                RUNS.fail(session, claim.holder, claim.id, error.as_dict(), values)
                self._publish_end(session, RunState.FAILED, error)
        status = "waiting" if may_retry else "failed"
        return AttemptOutcome(status, claim.id, {"error": error.as_dict()})

    def _publish_end(
        self, session: Session, state: RunState, error: SentinelIQError | None = None
    ) -> None:
        """Publish that the run ended, and the feed's health if that changed."""
        claim = self.claim
        report = self.report
        feed = load_feed(session, claim.feed_id)
        runs = repository.list_ended_runs(session, feed.id, MAX_RUNS)
        update_health(session, feed, runs)
        finished = RunFinished(
            self.feed.ref,
            claim.id,
            state,
            report.listed,
            dict(report.dropped),
            report.bytes,
            report.seconds,
            {"code": error.code, "message": error.message} if error else None,
            report.seen,
            report.gone,
        )
        event_id = derived_id(FINISHED.name, claim.id, state)
        event = Event(FINISHED, finished, claim.tenant, SOURCE, str(feed.id).encode(), event_id)
        publish(session, [event])

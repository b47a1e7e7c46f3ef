"""A run that this worker has claimed: its lease, its progress, and the ways it can end."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.collectors.registry import collector_named
from services.feeds.health.assessment import MAX_RUNS, PastRun
from services.feeds.health.service import update_health
from services.feeds.quotas.limits import FETCHED_BYTES
from services.feeds.runs.models import ClaimedRun, NewRun, RunState, StoredDocument
from services.feeds.runs.report import RunReport
from services.feeds.runs.repository import claims, records
from services.feeds.runs.repository.claims import RUNS
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed, FeedColumns, Quarantine
from services.feeds.subscriptions.service import FeedMoved, load_feed, lock_feed, save_feed
from shared.clock import database_now
from shared.database import Database
from shared.errors import SentinelIQError, Unavailable, UpstreamError
from shared.events import Event, derived_id
from shared.events.feeds import FINISHED, SOURCE, RunFinished
from shared.kafka.outbox import publish
from shared.leases import LeaseKeeper
from shared.quotas import note_use
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
    """The end of an attempt at a run, as the task returns it.

    Attributes:
        is_end: whether the run has ended, so that the next one of its feed may begin.
    """

    status: str
    run_id: UUID
    details: dict[str, Any] = field(default_factory=dict)
    is_end: bool = False

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
        full_reason: why the run says everything that the feed lists; None when it says what
            changed.
        sent: chunks of the document at hand that this attempt has published.
        is_whole: whether a document is all that the feed has to say, or only its news (a
            collection's pages).
        is_list: whether what a document no longer names is gone; a stream only adds.
    """

    def __init__(self, database: Database, claim: ClaimedRun, feed: Feed) -> None:
        self.database = database
        self.claim = claim
        self.feed = feed
        self.report = RunReport.from_stored(claim.report)
        self.full_reason = claim.full_reason
        self.sent = 0
        self.is_whole = collector_named(feed.collector).whole
        self.is_list = self.is_whole and feed.kind == "snapshot"
        self.lease = LeaseKeeper(database, claim.tenant, self._renew, _RENEWAL_SECONDS)
        self._has_published = claim.base_revision is not None

    @property
    def is_statement(self) -> bool:
        """Whether its chunks end with what they leave out: a list, or nothing at all, in full."""
        takes_all = self.claim.input == "retraction" and self.claim.retracts is None
        return takes_all or (self.is_list and self.full_reason is not None)

    def _renew(self, session: Session) -> bool:
        return claims.renew_run(session, self.claim, self.report.chunks + self.sent)

    def check(self) -> None:
        """Go on only while this worker has the run, and is to go on.

        Raises:
            LeaseLost: another worker has it.
            ShutdownRequested: the worker stops; hand the run back.
        """
        self.lease.check()

    def check_base(self) -> None:
        """Go on only if nobody changed what an earlier attempt compared the document with.

        Raises:
            FeedMoved: the feed is another; what that attempt published cannot be repeated.
        """
        base = self.claim.base_revision
        if base is not None and base != self.feed.revision:
            raise FeedMoved(f"{self.feed.name} was changed while this run was publishing.")

    def become_full(self, reason: str) -> None:
        """Say everything, because the feed's snapshot cannot be compared with.

        Raises:
            FeedMoved: an earlier attempt compared with it, and has published the difference.
        """
        if self.full_reason is not None:
            return
        if self._has_published:
            raise FeedMoved(reason)
        self.full_reason = reason
        self.report.notes.append(f"{reason} The feed says everything again.")

    def begin_publishing(self) -> None:
        """Note, before the first chunk of a document is sent, what it was compared with.

        From then on the run ends with a new snapshot, or the next one says everything again.

        Raises:
            LeaseLost: another worker has the run.
        """
        if self._has_published:
            return
        with self.database.transaction(self.claim.tenant) as session:
            claims.note_base(session, self.claim, self.feed.revision, self.full_reason)
        self._has_published = True

    def pin(self, document: StoredDocument) -> None:
        """Fix the document before anything of it is sent: another attempt reads the same."""
        with self.database.transaction(self.claim.tenant) as session:
            claims.pin_document(session, self.claim, document)
            note_use(session, self.claim.tenant, FETCHED_BYTES, document.received)

    def finish_page(self, changes: FeedColumns) -> None:
        """A page was sent and acknowledged: write the report and the feed's progress.

        Raises:
            FeedMoved: the feed is at another revision than the run began with.
        """
        with self.database.transaction(self.claim.tenant) as session:
            claims.unpin_document(session, self.claim, self.report.as_dict())
            if self.full_reason is not None:
                changes = {**changes, "needs_full_statement": None}
            self.feed = subscriptions.move_feed(session, self.feed, changes)
        self.full_reason = None
        self.sent = 0
        self._has_published = False

    def finish(
        self, changes: FeedColumns | None = None, *, was_read_before: bool, check_days: int = 0
    ) -> AttemptOutcome:
        """End the run: its feed was read, and all chunks are acknowledged.

        Args:
            changes: the feed's columns after its document; None when no document came.
            was_read_before: whether the feed has been read by an earlier run.
            check_days: days until the feed says everything again as a check, after a run that did.

        Raises:
            FeedMoved: the feed is at another revision than the run began with.
        """
        if self.report.chunks:
            state = RunState.APPLYING
        else:
            state = RunState.UNCHANGED if was_read_before else RunState.SUCCEEDED
        claim = self.claim
        with self.database.transaction(claim.tenant) as session:
            self._complete(session, state)
            if self.full_reason is not None:
                changes = {**(changes or {}), "needs_full_statement": None}
                if check_days:
                    subscriptions.postpone_check(session, self.feed.id, check_days)
            if changes is not None:
                self.feed = subscriptions.move_feed(session, self.feed, changes)
            # To its receivers a run has succeeded when all its chunks are published.
            outcome = RunState.SUCCEEDED if state is RunState.APPLYING else state
            self._publish_end(session, outcome)
        return AttemptOutcome(outcome, claim.id, self._counts(), is_end=True)

    def hold(self, quarantine: Quarantine) -> AttemptOutcome:
        """End the run: its document waits for a person, or for time."""
        with self.database.transaction(self.claim.tenant) as session:
            self._complete(session, RunState.QUARANTINED)
            save_feed(session, self.feed, {"quarantine": quarantine.as_dict()})
            self._publish_end(session, RunState.QUARANTINED)
        return AttemptOutcome(RunState.QUARANTINED, self.claim.id, self._counts(), is_end=True)

    def _complete(self, session: Session, state: RunState) -> None:
        values: dict[str, Any] = {"report": self.report.as_dict(), "base_revision": None}
        if self.full_reason != self.claim.full_reason:
            values["full_reason"] = self.full_reason
        RUNS.complete(session, self.claim.holder, self.claim.id, state, values)

    def _counts(self) -> dict[str, int]:
        report = self.report
        return {
            "taken": report.listed,
            "seen": report.seen,
            "gone": report.gone,
            "dropped": report.dropped.total(),
        }

    def postpone(self, reason: Postponed) -> AttemptOutcome:
        """Put the run back into the queue; nothing went wrong."""
        claim = self.claim
        with self.database.transaction(claim.tenant) as session:
            RUNS.retry(session, claim.holder, claim.id, seconds=reason.seconds)
        return AttemptOutcome("postponed", claim.id, {"reason": str(reason)})

    def hand_back(self) -> AttemptOutcome:
        """Give the run to another worker, because this one stops; that is no death."""
        claim = self.claim
        with self.database.transaction(claim.tenant) as session:
            RUNS.hand_back(session, claim.holder, claim.id)
        return AttemptOutcome("released", claim.id)

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
                self._assess_attempts(session, error, failures)
            else:
                self._give_up(session, error, values)
        status = "waiting" if may_retry else "failed"
        details = {"error": error.as_dict()}
        return AttemptOutcome(status, claim.id, details, is_end=not may_retry)

    def _assess_attempts(self, session: Session, error: SentinelIQError, failures: int) -> None:
        """Let the feed's health tell of attempts that failed, while the run waits for another."""
        if not failures:
            return
        feed = load_feed(session, self.claim.feed_id)
        now = database_now(session)
        report = self.report.as_dict()
        failed = PastRun(RunState.FAILED, now, report, error.as_dict(), failures)
        ended = records.list_ended_runs(session, feed.id, MAX_RUNS)
        update_health(session, feed, [failed, *ended])

    def supersede(self, error: FeedMoved) -> AttemptOutcome:
        """End the run, because what it compared with is no longer there; another does its work."""
        claim = self.claim
        with self.database.transaction(claim.tenant) as session:
            feed = lock_feed(session, claim.feed_id)
            self._give_up(session, error, {"report": self.report.as_dict()})
            if claim.input != "fetch" or records.renew_queued_fetch(session, feed.id) is None:
                pinned = claim.pinned if claim.input != "fetch" else None
                run = NewRun(
                    claim.tenant,
                    feed.id,
                    claim.requested_by,
                    claim.input,
                    pinned.payload if pinned else None,
                    claim.is_confirmed,
                    claim.full_reason,
                    pinned.file_name if pinned else None,
                    claim.retracts,
                )
                records.insert_run(session, run, repeats=claim.id)
        return AttemptOutcome("failed", claim.id, {"error": error.as_dict()}, is_end=True)

    def _give_up(self, session: Session, error: SentinelIQError, values: dict[str, Any]) -> None:
        """End the run with an error; what it published of a document must be said again."""
        claim = self.claim
        RUNS.fail(session, claim.holder, claim.id, error.as_dict(), values)
        if self._has_published:
            reason = f"The run {claim.id} was given up after it had begun to publish."
            save_feed(session, self.feed, {"needs_full_statement": reason})
        self._publish_end(session, RunState.FAILED, error)

    def _publish_end(
        self, session: Session, state: RunState, error: SentinelIQError | None = None
    ) -> None:
        """Publish that the run ended, and the feed's health if that changed."""
        claim = self.claim
        report = self.report
        feed = load_feed(session, claim.feed_id)
        runs = records.list_ended_runs(session, feed.id, MAX_RUNS)
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
            {} if error else dict(report.buckets),
            self.is_statement and not error,
            claim.is_amendment,
            claim.retracts,
        )
        event = Event(
            FINISHED,
            finished,
            claim.tenant,
            SOURCE,
            str(feed.id).encode(),
            id=derived_id(FINISHED.name, claim.id, state),
            time=database_now(session).isoformat(timespec="microseconds"),
        )
        publish(session, [event])

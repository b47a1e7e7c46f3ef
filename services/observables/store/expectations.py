"""Runs are compared with what they published: is all of it applied, or is something missing?

The end of a run tells how many chunks it published in each bucket (`feeds.finished.v1`). It may
arrive before the chunks or after them. Whichever transaction applies the last one publishes
`observables.applied.v1`. A sweep looks after what does not become complete: chunks that do not come
for a minute, and do not wait in the log either, are reported missing, so that the feed sends
everything again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import EVENT_SOURCE, NAME
from services.observables.store.repository import expectations, upkeep
from services.observables.store.repository.expectations import AppliedBucket, Expectation
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.events import Event, derived_id
from shared.events.feeds import OBSERVED, RunFinished
from shared.events.observables import APPLIED, RunApplied
from shared.kafka.gaps import LogGap
from shared.kafka.log_progress import PartitionProgress, may_wait, read_progress
from shared.kafka.outbox import publish
from shared.settings import load_settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import ASSERTIONS_CORRECTED, RUNS_REPORTED

log = get_logger(__name__)

ReportedState = Literal["applied", "incomplete"]

PATIENCE: Final = timedelta(minutes=1)
"""How long no chunk of a run may arrive before the others are reported missing."""
SWEEP_SECONDS: Final = 5.0
_PAUSE: Final = timedelta(seconds=5)
_PAUSES: Final = (
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=3),
    timedelta(hours=12),
)
"""Pauses after a report of missing chunks; after the last of them nothing is reported again."""
_BATCH: Final = 200


def expect(session: Session, tenant: str, finished: RunFinished) -> None:
    """Store what a run published, and report the run if all of it is applied.

    A run that published nothing is applied. Of a run whose feed does not count chunks nothing is
    expected.
    """
    if not finished.chunks:
        if finished.state == "succeeded" and not finished.seen + finished.gone:
            _publish(session, tenant, RunApplied(finished.feed.id, finished.run_id, "applied"))
        return
    expectation = Expectation(
        finished.feed.id,
        finished.chunks,
        finished.is_full,
        finished.seen,
        reminders=0,
        age=timedelta(),
    )
    expectations.expect_chunks(session, tenant, finished.run_id, expectation, _PAUSE)
    report_applied(session, tenant, [finished.run_id])


def report_applied(session: Session, tenant: str, run_ids: Iterable[UUID]) -> None:
    """Report those of some runs that have ended, and of which everything is applied now."""
    for run_id in sorted(set(run_ids)):
        expectation = expectations.lock_expectation(session, tenant, run_id)
        if expectation is None:
            continue
        buckets = expectations.applied_buckets(session, tenant, run_id)
        if not missing_chunks(expectation.chunks, buckets):
            _report_applied(session, tenant, run_id, expectation, buckets)


def check_expectations(database: Database) -> dict[str, int]:
    """Check the runs that are due: report what is applied, and what has not come for a minute.

    Returns:
        How many runs were reported, by state.
    """
    with database.transaction(PLATFORM) as session:
        due = expectations.due_expectations(session, _BATCH)
    reports: dict[str, int] = {}
    progress: list[PartitionProgress] | None = []
    if any(expectation.age >= PATIENCE for expectation in due):
        # Before the transactions, which must not wait for Kafka.
        progress = _read_progress(database)
    for tenant, run_id, _ in due:
        state = _check_safely(database, tenant, run_id, progress)
        if state is not None:
            reports[state] = reports.get(state, 0) + 1
    return reports


def missing_chunks(expected: Mapping[int, int], buckets: Iterable[AppliedBucket]) -> dict[int, int]:
    """The number of chunks that are missing, by bucket.

    A full statement tells the number of its chunks as well: of the two numbers the greater counts.
    """
    missing = Counter(expected)
    for bucket in buckets:
        missing[bucket.bucket] = max(missing[bucket.bucket], bucket.stated) - bucket.chunks
    return {number: count for number, count in sorted(missing.items()) if count > 0}


def corrections(expectation: Expectation, buckets: Iterable[AppliedBucket]) -> int:
    """How many assertions a full statement had to put right.

    These are the ones that it retracted, and those that it changed beyond the feed's own news.
    """
    if not expectation.is_full:
        return 0
    altered = 0
    retracted = 0
    for bucket in buckets:
        altered += bucket.altered
        retracted += bucket.corrected
    return retracted + max(0, altered - expectation.news)


def _read_progress(database: Database) -> list[PartitionProgress] | None:
    """How far the chunks are applied that are in the log; None if that cannot be told now."""
    try:
        return read_progress(database, load_settings(), OBSERVED.name)
    except Unavailable as error:
        log.warning("run.check_postponed", reason=error.message)
        return None


def _check_safely(
    database: Database, tenant: str, run_id: UUID, progress: list[PartitionProgress] | None
) -> ReportedState | None:
    """Check one run; one that cannot be checked waits, and holds no other up.

    Raises:
        Unavailable: the database does not answer.
    """
    try:
        with database.transaction(tenant) as session:
            return _check(session, tenant, run_id, progress)
    except Unavailable:
        raise
    except Exception:  # a bug with one run must not stop the sweep
        log.exception("run.check_failed", tenant=tenant, run_id=str(run_id))
        with database.transaction(tenant) as session:
            expectations.postpone_check(session, tenant, run_id, _PAUSES[0])
        return None


def _check(
    session: Session, tenant: str, run_id: UUID, progress: list[PartitionProgress] | None
) -> ReportedState | None:
    """Check one run; the state that was reported, if any.

    Args:
        session: of the run's tenant.
        tenant: whose run.
        run_id: the run.
        progress: how far the log of the chunks is applied; None if that is not known.
    """
    expectation = expectations.lock_expectation(session, tenant, run_id)
    if expectation is None:
        return None  # another transaction has reported it
    buckets = expectations.applied_buckets(session, tenant, run_id)
    missing = missing_chunks(expectation.chunks, buckets)
    if not missing:
        _report_applied(session, tenant, run_id, expectation, buckets)
        return "applied"
    # While its chunks arrive, or may be in the log, the service is only behind.
    idle = min([expectation.age, *(bucket.idle for bucket in buckets)])
    ended_at = database_now(session) - expectation.age
    if idle < PATIENCE or progress is None or may_wait(progress, ended_at):
        expectations.postpone_check(session, tenant, run_id, _PAUSE)
        return None
    report = _report(expectation, run_id, "incomplete", buckets, missing)
    _publish(session, tenant, report, str(expectation.reminders))
    pause = dict(enumerate(_PAUSES)).get(expectation.reminders)
    expectations.record_reminder(session, tenant, run_id, pause)
    log.warning(
        "run.incomplete",
        tenant=tenant,
        run_id=str(run_id),
        source_id=str(expectation.source_id),
        missing=sum(missing.values()),
        buckets=sorted(missing),
    )
    return "incomplete"


def _report_applied(
    session: Session,
    tenant: str,
    run_id: UUID,
    expectation: Expectation,
    buckets: list[AppliedBucket],
) -> None:
    expectations.fulfil(session, tenant, run_id)
    report = _report(expectation, run_id, "applied", buckets, {})
    _publish(session, tenant, report)
    ASSERTIONS_CORRECTED.labels(NAME).inc(report.corrected)
    if report.corrected:
        log.warning(
            "run.corrected",
            tenant=tenant,
            run_id=str(run_id),
            source_id=str(expectation.source_id),
            corrected=report.corrected,
        )


def _report(
    expectation: Expectation,
    run_id: UUID,
    state: ReportedState,
    buckets: Iterable[AppliedBucket],
    missing: dict[int, int],
) -> RunApplied:
    applied = list(buckets)
    return RunApplied(
        expectation.source_id,
        run_id,
        state,
        chunks=sum(bucket.chunks for bucket in applied),
        received=sum(bucket.received for bucket in applied),
        rejected=sum(bucket.rejected for bucket in applied),
        corrected=corrections(expectation, applied),
        missing=missing,
    )


def _publish(session: Session, tenant: str, report: RunApplied, ordinal: str = "") -> None:
    """Publish a report; the same report of a run always has the same id."""
    identity = derived_id(APPLIED.name, tenant, report.run_id, report.state, ordinal)
    key = str(report.source_id).encode()
    publish(session, [Event(APPLIED, report, tenant, EVENT_SOURCE, key, identity)])
    RUNS_REPORTED.labels(report.state).inc()


def request_statements(session: Session, gap: LogGap) -> str:
    """Let every feed say everything again: nobody knows which of their chunks a log has lost.

    Args:
        session: the platform's transaction.
        gap: in a log of the feeds' events.

    Returns:
        What was requested, in one sentence.
    """
    sources = upkeep.source_ids(session)
    for tenant, source_id in sources:
        # No feed has such a run. Told of a run that it does not know, a feed says everything again.
        run_id = derived_id(APPLIED.name, tenant, source_id, gap.kind, gap.last, gap.timestamp)
        _publish(session, tenant, RunApplied(source_id, UUID(run_id), "incomplete"))
    return f"Full statements of {len(sources)} feeds were requested."

"""One attempt at a feed run: get its documents, process each, remember how far it came.

Runs of a feed take turns, in the order they were queued, and each speaks for a later moment than
the one before it. Nothing is sent of a document that cannot be read to its end. A first list is the
exception: nothing can be lost from it, so that its lines are sent as they are read. Chunks go
straight to Kafka, and only after the last acknowledgement does the feed's row move, if it is where
the run found it. A run whose worker was killed is repeated with the same payload and the same chunk
ids. docs/adr/0013-runs-in-order-and-full-statements.md has the reasons.
"""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from services.feeds import NAME
from services.feeds.collectors.base import FetchedDocument
from services.feeds.payloads.store import PayloadStore
from services.feeds.runs.bulk_slots import bulk_slot
from services.feeds.runs.document_processor import DocumentProcessor, ShrinkGuardTripped
from services.feeds.runs.fetch import fetch_documents
from services.feeds.runs.leased_run import AttemptOutcome, LeasedRun, Postponed
from services.feeds.runs.models import ClaimedRun, StoredDocument
from services.feeds.runs.repository import claims
from services.feeds.runs.take_back import remaining_documents, take_back
from services.feeds.sandbox import document_sandbox
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed, FeedColumns
from services.feeds.subscriptions.service import FeedMoved
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput, SentinelIQError, Unavailable
from shared.leases import ShutdownRequested
from shared.memory import release_memory
from shared.runtime.celery import worker_concurrency
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.turns import TurnOrder

log = get_logger(__name__)

MAX_DEATHS: Final = 5
"""Workers that may die over a run, with no progress in between, before it is given up."""
_TURNS: Final = TurnOrder()
_FULL_DISK: Final = (errno.ENOSPC, errno.EDQUOT)
_FULL_DISK_PAUSE: Final = 30.0


class Unworkable(SentinelIQError):
    """A run that kills its workers."""

    code = "unworkable"


def execute(database: Database, settings: Settings, tenant: str, run_id: UUID) -> AttemptOutcome:
    """Make an attempt at a run.

    A run that is done, has a worker, or is not the next one of its feed is skipped.
    """
    with database.transaction(tenant) as session:
        claim = _claim(session, run_id)
    if claim is None:
        return AttemptOutcome("skipped", run_id)
    return _work_on(database, settings, *claim)


def execute_next(database: Database, settings: Settings) -> AttemptOutcome | None:
    """Make an attempt at a run of the tenant whose turn it is; None if no run may begin here now.

    Of a worker's processes one tenant has all but one at most, if other tenants have feeds.
    """
    with database.transaction(PLATFORM) as session:
        claim = _claim_in_turn(session, settings)
    if claim is None:
        return None
    run, feed = claim
    structlog.contextvars.bind_contextvars(tenant=run.tenant, actor=run.requested_by)
    return _work_on(database, settings, run, feed)


def _work_on(
    database: Database, settings: Settings, claim: ClaimedRun, feed: Feed
) -> AttemptOutcome:
    run = LeasedRun(database, claim, feed)
    try:
        with run.lease:
            return _attempt(run, settings)
    except Conflict:
        # The transaction was rolled back: another worker has the run.
        return AttemptOutcome("superseded", claim.id)
    finally:
        release_memory()


def release_leases(database: Database) -> None:
    """Give back what this worker's tasks had claimed and did not hand back in time."""
    try:
        with database.transaction(PLATFORM) as session:
            runs = claims.release_runs(session, _worker_name(os.getpid()))
    except Unavailable as error:
        log.warning("run.release_failed", reason=error.message)
        return
    if runs:
        log.info("run.released", runs=runs)


def _worker_name(pid: int) -> str:
    """The name of a worker: a process of this machine whose children run the tasks."""
    return f"{socket.gethostname()}:{pid}"


def _claim_in_turn(session: Session, settings: Settings) -> tuple[ClaimedRun, Feed] | None:
    """Claim a run of the tenant that has the fewest of this worker's processes."""
    worker = _worker_name(os.getppid())
    claims.lock_worker(session, worker)
    waiting = set(claims.waiting_tenants(session))
    running = claims.count_running(session, worker)
    slots = worker_concurrency(NAME, settings)
    is_shared = subscriptions.has_many_tenants(session)
    most = max(1, slots - 1) if is_shared else slots
    while chosen := _TURNS.choose(waiting, running, free=1, limit=1, most=most):
        [tenant] = chosen
        run_id = claims.find_due_run(session, tenant)
        claim = None if run_id is None else _claim(session, run_id)
        if claim is not None:
            return claim
        # Its runs wait for others of their feeds, or another worker was faster.
        waiting.discard(tenant)
    return None


def _claim(session: Session, run_id: UUID) -> tuple[ClaimedRun, Feed] | None:
    """Claim a run and, when it begins, fix what it is about; None when it cannot go on now."""
    feed_id = claims.find_feed(session, run_id)
    if feed_id is None:
        return None
    feed = subscriptions.lock_feed(session, feed_id)
    claim = claims.claim_run(session, run_id, _worker_name(os.getppid()))
    if claim is None:
        return None
    run, begins = claim
    if begins:
        document = run.pinned
        if document is None and run.input == "stored" and feed.payload is not None:
            document = StoredDocument(feed.payload, file_name=feed.file_name)
        run = claims.begin_run(
            session,
            run,
            moment=subscriptions.advance_moment(session, feed),
            full_reason=run.full_reason or feed.needs_full_statement,
            document=document,
        )
    return run, feed


def _attempt(run: LeasedRun, settings: Settings) -> AttemptOutcome:
    try:
        return asyncio.run(_execute(run, settings))
    except ShrinkGuardTripped as guard:
        return run.hold(guard.quarantine)
    except Postponed as reason:
        return run.postpone(reason)
    except FeedMoved as error:
        return run.supersede(error)
    except ShutdownRequested:
        return run.hand_back()
    except Conflict:
        raise
    except (SentinelIQError, OSError) as error:
        return run.fail(_failure(error))


def _failure(error: SentinelIQError | OSError) -> SentinelIQError:
    """The error that a run ends or waits with: a full disk is no fault of it.

    Raises:
        OSError: the error is a bug.
    """
    if isinstance(error, SentinelIQError):
        return error
    if error.errno not in _FULL_DISK:
        raise error
    full = Unavailable("The disk of the data folder is full; the run goes on when it is not.")
    full.retry_after = _FULL_DISK_PAUSE
    return full


async def _execute(run: LeasedRun, settings: Settings) -> AttemptOutcome:
    deaths = run.claim.deaths
    if deaths >= MAX_DEATHS:
        raise Unworkable(
            f"{deaths} workers died over this run; look at its payload and at their memory."
        )
    payloads = PayloadStore(settings.data_dir)
    processor = DocumentProcessor(run, settings, payloads)
    was_read_before = run.feed.was_read
    days = settings.feed_check_days
    finish = partial(run.finish, was_read_before=was_read_before, check_days=days)
    await asyncio.to_thread(processor.check_snapshot)
    # While the document is fetched.
    document_sandbox(settings).start()
    if run.claim.input == "retraction":
        changes = await _take_back(run, settings, payloads, processor)
        outcome = await asyncio.to_thread(finish, changes)
        await asyncio.to_thread(processor.remove_replaced)
        return outcome
    async with aclosing(_documents(run, settings, payloads)) as documents:
        async for document in documents:
            with bulk_slot(run, settings, payloads.size(document.payload)):
                changes = await processor.process(document)
                if run.is_whole:
                    # One document is all: a second one would speak for the same moment.
                    outcome = await asyncio.to_thread(finish, changes)
                    await asyncio.to_thread(processor.remove_replaced)
                    return outcome
                await asyncio.to_thread(run.finish_page, changes)
    return await asyncio.to_thread(finish)


async def _take_back(
    run: LeasedRun, settings: Settings, payloads: PayloadStore, processor: DocumentProcessor
) -> FeedColumns:
    document = run.claim.pinned
    standing: list[StoredDocument] = []
    if document is not None:
        with run.database.transaction(run.claim.tenant) as session:
            remaining = remaining_documents(
                session, payloads, run.feed.id, document.payload, is_list=run.is_list
            )
        standing = [StoredDocument(each.payload, file_name=each.file_name) for each in remaining]
    with bulk_slot(run, settings, payloads.size(document.payload) if document else 0):
        return await take_back(run, settings, processor, document, standing)


async def _documents(
    run: LeasedRun, settings: Settings, payloads: PayloadStore
) -> AsyncGenerator[StoredDocument, None]:
    """The run's documents: first the one that is pinned, then those that are fetched.

    Raises:
        InvalidInput: there is nothing to read.
    """
    claim = run.claim
    pinned = claim.pinned
    # A feed that says everything again reads what is stored, and fetches it if that is lost.
    is_repetition = claim.input == "stored" and not claim.is_confirmed
    may_fetch = claim.input == "fetch" or (is_repetition and run.feed.url is not None)
    if pinned is not None and (payloads.size(pinned.payload) or not may_fetch):
        yield pinned
        may_fetch = claim.input == "fetch"
    elif not may_fetch:
        raise InvalidInput(
            f"No payload of {run.feed.name} is kept, and it has no address; upload it again."
        )
    if not may_fetch:
        return
    with payloads.scratch() as scratch:
        async with aclosing(fetch_documents(run, settings, scratch)) as documents:
            async for document in documents:
                yield await _store(run, payloads, document)


async def _store(
    run: LeasedRun, payloads: PayloadStore, document: FetchedDocument
) -> StoredDocument:
    """Store a fetched document and pin the run to it."""
    run.report.bytes += document.received
    with run.report.stage("unpack"):
        unpacked = await asyncio.to_thread(payloads.add, document.path)
    stored = StoredDocument(
        unpacked.sha256,
        document.format,
        dict(document.cursor),
        document.name,
        received=document.received,
    )
    await asyncio.to_thread(run.pin, stored)
    return stored

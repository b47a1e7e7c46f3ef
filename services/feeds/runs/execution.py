"""One attempt at a feed run: get its documents, process each, remember how far it came.

Nothing is sent of a document that cannot be read to its end. A first list is the exception: nothing
can be lost from it, so that its lines are sent as they are read. Chunks go straight to Kafka, and
only after the last acknowledgement does the feed's row move. A run whose worker was killed is
repeated with the same payload and the same chunk ids.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from uuid import UUID

from services.feeds.collectors.base import FetchedDocument
from services.feeds.payloads.store import PayloadStore
from services.feeds.runs import repository
from services.feeds.runs.bulk_slots import bulk_slot
from services.feeds.runs.document_processor import DocumentProcessor, ShrinkGuardTripped
from services.feeds.runs.fetch import fetch_documents
from services.feeds.runs.leased_run import AttemptOutcome, LeasedRun, Postponed
from services.feeds.runs.memory import release_memory
from services.feeds.runs.models import RunState, StoredDocument
from services.feeds.subscriptions.service import load_feed
from shared.database import Database
from shared.errors import Conflict, SentinelIQError
from shared.settings import Settings

MAX_DEATHS: Final = 5
"""Workers that may die over a run before it is given up."""


class Unworkable(SentinelIQError):
    """A run that kills its workers."""

    code = "unworkable"


def execute(database: Database, settings: Settings, tenant: str, run_id: UUID) -> AttemptOutcome:
    """Make an attempt at a run; one that is done or has a worker is skipped."""
    with database.transaction(tenant) as session:
        claim = repository.claim_run(session, run_id)
        if claim is None:
            return AttemptOutcome("skipped", run_id)
        feed = load_feed(session, claim.feed_id)
    run = LeasedRun(database, claim, feed)
    try:
        with run.lease:
            return _attempt(run, settings)
    except Conflict:
        # The transaction was rolled back: another worker has the run.
        return AttemptOutcome("superseded", run_id)
    finally:
        release_memory()


def _attempt(run: LeasedRun, settings: Settings) -> AttemptOutcome:
    try:
        return asyncio.run(_execute(run, settings))
    except ShrinkGuardTripped as guard:
        return run.finish(RunState.QUARANTINED, guard.quarantine)
    except Postponed as reason:
        return run.postpone(reason)
    except Conflict:
        raise
    except SentinelIQError as error:
        return run.fail(error)


async def _execute(run: LeasedRun, settings: Settings) -> AttemptOutcome:
    deaths = run.claim.deaths
    if deaths >= MAX_DEATHS:
        raise Unworkable(
            f"{deaths} workers died over this run; look at its payload and at their memory."
        )
    payloads = PayloadStore(settings.data_dir)
    processor = DocumentProcessor(run, settings, payloads)
    was_read_before = run.feed.content_digest is not None or bool(run.feed.cursor)
    async with aclosing(_documents(run, settings, payloads)) as documents:
        async for document in documents:
            with bulk_slot(run.database, settings, payloads.size(document.payload)):
                await processor.process(document)
    is_unchanged = was_read_before and not run.report.seen and not run.report.gone
    return run.finish(RunState.UNCHANGED if is_unchanged else RunState.SUCCEEDED)


async def _documents(
    run: LeasedRun, settings: Settings, payloads: PayloadStore
) -> AsyncGenerator[StoredDocument, None]:
    """The run's documents: first the one that is pinned, then those that are fetched."""
    if run.claim.pinned is not None:
        yield run.claim.pinned
    if run.claim.input != "fetch":
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
    stored = StoredDocument(unpacked.sha256, document.format, dict(document.cursor), document.name)
    await asyncio.to_thread(run.pin, stored)
    return stored

"""One feed run: collect its documents, take each, remember how far it came.

Nothing is sent of a document that cannot be read to its end (of a first list, which nothing can be lost from, lines are
sent as they are read). Chunks go straight to Kafka, and only after the last acknowledgement does the feed's row move. A
killed run is repeated with the same payload and the same chunk ids.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from services.feeds.collectors import credentials
from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.collectors.registry import collector_named
from services.feeds.runs.bulk_slots import slot
from services.feeds.runs.document_processor import (
    DocumentProcessor,
    ShrinkGuardTripped,
    StoredDocument,
)
from services.feeds.runs.lease import LeasedRun, Postponed
from services.feeds.runs.memory import give_memory_back
from services.feeds.runs.payloads import Payloads
from services.feeds.subscriptions import repository
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import Conflict, SentinelIQError, UpstreamError
from shared.http import GuardedClient, Limits
from shared.settings import Settings


class Unworkable(SentinelIQError):
    """A run that nobody can work on, whoever tries."""

    code = "unworkable"


_WAITED_FOR: Final = 2.0
"""Seconds that a run waits for its turn at a provider without giving its worker up."""
MAX_DEATHS: Final = 5
"""Workers that may die over a run before it is given up."""
_LIMITS: Final = Limits(total=600.0)


def execute(database: Database, settings: Settings, tenant: str, run_id: UUID) -> dict[str, Any]:
    """Work on a run, if it is there to be worked on.

    Returns:
        `status` and what the run reported.
    """
    with database.transaction(tenant) as session:
        row = repository.take_run(session, run_id)
        if row is None:
            return {"status": "skipped", "run": str(run_id)}
        feed = repository.get_feed(session, row.feed_id)
    try:
        with LeasedRun(database, row, feed) as run:
            return _ended(run, settings)
    except Conflict:
        return {"status": "superseded", "run": str(run_id)}
    finally:
        give_memory_back()


def _ended(run: LeasedRun, settings: Settings) -> dict[str, Any]:
    try:
        return asyncio.run(_execute(run, settings))
    except ShrinkGuardTripped as held:
        return run.finish("held", {"held": held.held})
    except Postponed as why:
        return run.postpone(why)
    except Conflict:
        raise
    except SentinelIQError as error:
        return run.fail(error)


async def _execute(run: LeasedRun, settings: Settings) -> dict[str, Any]:
    if run.row.deaths >= MAX_DEATHS:
        raise Unworkable(
            f"{run.row.deaths} workers died over this run; look at its payload and at their memory."
        )
    payloads = Payloads(settings.data_dir)
    known = run.feed.content_digest is not None or bool(run.feed.cursor)
    processor = DocumentProcessor(run, settings, payloads, collector_named(run.feed.collector))
    if run.row.part is not None:
        document = StoredDocument(
            run.row.payload, run.row.part.get("format"), run.row.part.get("cursor")
        )
        with slot(run.database, settings, payloads.size(document.payload)):
            await processor.process(document)
    if run.row.input == "fetch":
        with payloads.scratch() as scratch:
            async with aclosing(_parts(run, settings, scratch)) as parts:
                async for part in parts:
                    document = await _stored(run, payloads, part)
                    with slot(run.database, settings, payloads.size(document.payload)):
                        await processor.process(document)
    sent = run.report.seen or run.report.gone
    return run.finish("unchanged" if known and not sent else "succeeded")


async def _parts(
    run: LeasedRun, settings: Settings, scratch: Path
) -> AsyncGenerator[FetchedDocument, None]:
    feed = run.feed
    host = urlsplit(feed.url).hostname or ""
    await asyncio.to_thread(_wait_for_turn, run, host)
    collector = collector_named(feed.collector)
    async with _client(run, settings, scratch) as (client, given):
        source = FeedSource(feed.url, feed.collector_options, feed.cursor, given)
        try:
            async with aclosing(collector.collect(source, client, scratch)) as parts:
                while True:
                    with run.report.stage("fetch"):
                        part = await anext(parts, None)
                    if part is None:
                        return
                    yield part
        except UpstreamError as error:
            if error.retry_after:
                with run.database.transaction(PLATFORM) as session:
                    repository.keep_away(session, host, error.retry_after)
            raise


def _wait_for_turn(run: LeasedRun, host: str) -> None:
    while True:
        with run.database.transaction(PLATFORM) as session:
            wait = repository.visit(session, host, run.feed.min_interval)
        if not wait:
            return
        if wait > _WAITED_FOR:
            raise Postponed(wait, f"{host} was visited a moment ago, or asked for a pause")
        time.sleep(wait)


@asynccontextmanager
async def _client(
    run: LeasedRun, settings: Settings, scratch: Path
) -> AsyncIterator[tuple[GuardedClient, Credentials]]:
    """The way out, with what the feed is authorised by."""
    feed = run.feed
    auth = None
    if feed.auth is not None:
        sealer = Sealer(settings.secret_key, credentials.PURPOSE)
        auth = credentials.unseal(feed.auth, feed.secret, sealer, str(feed.id))
    async with (
        credentials.open_credentials(auth, scratch) as (given, certificate),
        GuardedClient(settings.outbound_allow, _LIMITS, certificate=certificate) as client,
    ):
        yield client, given


async def _stored(run: LeasedRun, payloads: Payloads, part: FetchedDocument) -> StoredDocument:
    """A part's content, kept, and pinned to the run: whoever repeats the run takes the same."""
    run.report.bytes += part.received
    with run.report.stage("unpack"):
        unpacked = await asyncio.to_thread(payloads.keep, part.path)
    cursor = dict(part.cursor)
    await asyncio.to_thread(
        run.pin, unpacked.sha256, {"name": part.name, "format": part.format, "cursor": cursor}
    )
    return StoredDocument(unpacked.sha256, part.format, cursor)

"""Previews of documents, and of other settings for a feed.

Nothing is stored and nothing is sent, unless new settings are applied.
"""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from services.feeds.collectors.base import FeedSource
from services.feeds.collectors.credentials import open_credentials
from services.feeds.collectors.registry import collector_named
from services.feeds.formats.registry import check_options
from services.feeds.payloads.store import PayloadStore
from services.feeds.previews.comparison import DocumentPreview, ParserComparison
from services.feeds.previews.jobs import (
    ComparisonOrder,
    PreviewOrder,
    comparison_job,
    preview_job,
)
from services.feeds.previews.schemas import PreviewRequest, ReparseRequest
from services.feeds.runs.models import RunSummary, StoredDocument
from services.feeds.runs.service import apply_settings, last_document
from services.feeds.sandbox import preview_limits, preview_sandbox
from services.feeds.snapshots.store import SnapshotStore
from services.feeds.subscriptions.models import Feed, FeedColumns
from services.feeds.subscriptions.service import check_settings, load_own_feed
from shared.auth import Principal
from shared.database import Database
from shared.errors import Conflict, InvalidInput
from shared.http import GuardedClient, Limits
from shared.http.guard import origin_of
from shared.http.outbound import outbound_of
from shared.settings import Settings, load_settings

# A person waits: an address that does not begin to answer within seconds is told at once.
_LIMITS: Final = Limits(total=20.0, max_bytes=32 << 20, max_expanded=64 << 20, head=4.0)


def preview_file(  # what a preview is made of
    tenant: str,
    file: Path,
    name: str,
    format_name: str | None,
    options: Mapping[str, Any],
    folder: Path,
) -> DocumentPreview:
    """The first records of a file that may be wrapped in gzip, zip or zstd.

    Args:
        tenant: whose turn it takes.
        file: the document.
        name: its file name or address, which may tell its format.
        format_name: guessed when None.
        options: the format's.
        folder: where the unpacked document may be.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
        SandboxLimitExceeded: it takes too much to read it, or breaks its reader.
        Unavailable: other documents are being read.
    """
    settings = load_settings()
    order = PreviewOrder(name, format_name, dict(options))
    with file.open("rb") as source, (folder / "content").open("w+b") as content:
        frame = preview_sandbox(settings).call(
            preview_job,
            msgspec.msgpack.encode(order),
            [source.fileno(), content.fileno()],
            preview_limits(settings),
            tenant,
        )
    return msgspec.msgpack.decode(frame, type=DocumentPreview)


async def preview_address(
    settings: Settings, tenant: str, payloads: PayloadStore, request: PreviewRequest
) -> DocumentPreview:
    """The first records of the first document that a collector brings from an address.

    Raises:
        UpstreamError: the source failed or refused.
        InvalidInput: it brings nothing.
    """
    collector = collector_named(request.collector)
    with payloads.scratch() as folder:
        async with (
            open_credentials(request.auth, folder) as (credentials, certificate),
            GuardedClient(
                outbound_of(settings, tenant),
                _LIMITS,
                certificate=certificate,
                home=origin_of(request.url),
            ) as client,
        ):
            source = FeedSource(request.url, request.collector_options, {}, credentials)
            async with aclosing(collector.collect(source, client, folder)) as documents:
                document = await anext(documents, None)
        if document is None:
            raise InvalidInput("There is nothing at this address.", field="url")
        format_name = request.format or document.format
        return await asyncio.to_thread(
            preview_file, tenant, document.path, request.url, format_name, request.options, folder
        )


def reparse(
    database: Database, principal: Principal, feed_id: UUID, request: ReparseRequest
) -> tuple[ParserComparison, RunSummary | None]:
    """Read a feed's last document with other settings, and compare.

    The last document is the last one that was uploaded, also if it was refused.

    Args:
        database: the service's database.
        principal: asks.
        feed_id: a feed of its tenant.
        request: the settings that differ, and whether they are applied to the feed.

    Returns:
        The difference, and with `apply` the run that reads the document again.

    Raises:
        Conflict: no document of the feed is stored.
    """
    changes = cast("FeedColumns", request.model_dump(exclude_unset=True, exclude={"apply"}))
    check_settings(changes)
    with database.transaction(principal.tenant) as session:
        feed = load_own_feed(session, principal.tenant, feed_id)
        document = last_document(session, feed)
    if document is None:
        way = "fetch it first" if feed.url else "upload one first"
        raise Conflict(f"No document of {feed.name} is kept; {way}.")
    check_options(changes.get("format") or feed.format, changes.get("options", feed.options))
    comparison = _compare(feed, document, changes)
    if not request.apply:
        return comparison, None
    return comparison, apply_settings(database, principal, feed_id, changes)


def _compare(feed: Feed, document: StoredDocument, changes: FeedColumns) -> ParserComparison:
    settings = load_settings()
    payloads = PayloadStore(settings.data_dir)
    order = ComparisonOrder(
        document.file_name or feed.url or feed.name,
        changes.get("format") or feed.format,
        dict(changes.get("options", feed.options)),
    )
    with ExitStack() as stack:
        files = [stack.enter_context(payloads.file(document.payload)).fileno()]
        if feed.snapshot is not None:
            path = SnapshotStore(settings.data_dir).verified_path(feed.id, feed.snapshot)
            files.append(stack.enter_context(path.open("rb")).fileno())
        encoded = msgspec.msgpack.encode(order)
        frame = preview_sandbox(settings).call(
            comparison_job, encoded, files, preview_limits(settings), feed.tenant
        )
    return msgspec.msgpack.decode(frame, type=ParserComparison)

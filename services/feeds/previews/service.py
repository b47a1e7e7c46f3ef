"""Previews of documents, and of other settings for a feed.

Nothing is stored and nothing is sent, unless new settings are applied.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from uuid import UUID

from services.feeds.collectors.base import FeedSource
from services.feeds.collectors.credentials import open_credentials
from services.feeds.collectors.registry import collector_named
from services.feeds.payloads.store import PayloadStore
from services.feeds.payloads.unpack import unpack
from services.feeds.previews.comparison import (
    DocumentPreview,
    ParserComparison,
    compare_parsers,
    guess_document_format,
    preview_document,
)
from services.feeds.previews.schemas import PreviewRequest, ReparseRequest
from services.feeds.runs.models import RunSummary
from services.feeds.runs.service import apply_settings
from services.feeds.snapshots.store import SnapshotStore
from services.feeds.subscriptions.models import FeedColumns
from services.feeds.subscriptions.service import check_settings, load_own_feed
from shared.auth import Principal
from shared.database import Database
from shared.errors import Conflict, InvalidInput
from shared.http import GuardedClient, Limits
from shared.settings import Settings, load_settings

_LIMITS: Final = Limits(total=20.0, max_bytes=32 << 20, max_expanded=64 << 20)


def preview_file(
    file: Path, name: str, format_name: str | None, options: Mapping[str, Any], folder: Path
) -> DocumentPreview:
    """The first records of a file that may be wrapped in gzip, zip or zstd.

    Args:
        file: the document.
        name: its file name or address, which may tell its format.
        format_name: guessed when None.
        options: the format's.
        folder: where the unpacked document may be.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
    """
    content = folder / "content"
    with file.open("rb") as source, content.open("wb") as sink:
        unpacked = unpack(source, sink)
    return preview_document(
        partial(_open_file, content),
        name=name,
        format_name=format_name,
        options=options,
        size=unpacked.size,
    )


def _open_file(path: Path) -> BinaryIO:
    return path.open("rb")


async def preview_address(
    settings: Settings, payloads: PayloadStore, request: PreviewRequest
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
            GuardedClient(settings.outbound_allow, _LIMITS, certificate=certificate) as client,
        ):
            source = FeedSource(request.url, request.collector_options, {}, credentials)
            async with aclosing(collector.collect(source, client, folder)) as documents:
                document = await anext(documents, None)
        if document is None:
            raise InvalidInput("There is nothing at this address.", field="url")
        format_name = request.format or document.format
        return await asyncio.to_thread(
            preview_file, document.path, request.url, format_name, request.options, folder
        )


def reparse(
    database: Database, principal: Principal, feed_id: UUID, request: ReparseRequest
) -> tuple[ParserComparison, RunSummary | None]:
    """Read a feed's last payload with other settings, and compare.

    Args:
        database: the service's database.
        principal: asks.
        feed_id: a feed of its tenant.
        request: the settings that differ, and whether they are applied to the feed.

    Returns:
        The difference, and with `apply` the run that reads the payload again.

    Raises:
        Conflict: no payload of the feed is stored.
    """
    changes = cast("FeedColumns", request.model_dump(exclude_unset=True, exclude={"apply"}))
    check_settings(changes)
    with database.transaction(principal.tenant) as session:
        feed = load_own_feed(session, principal.tenant, feed_id)
    if feed.payload is None:
        raise Conflict(f"No payload of {feed.name} is kept; run it first.")
    data_dir = load_settings().data_dir
    before = SnapshotStore(data_dir).load(feed.id, feed.snapshot) if feed.snapshot else None
    document = partial(PayloadStore(data_dir).open, feed.payload)
    format_name = changes.get("format") or feed.format
    if format_name is None:
        format_name, _ = guess_document_format(document, feed.url or feed.name)
    options = changes.get("options", feed.options)
    comparison = compare_parsers(document, before, format_name, options)
    if not request.apply:
        return comparison, None
    return comparison, apply_settings(database, principal, feed_id, changes)

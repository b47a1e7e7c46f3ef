"""Taking back what a feed has said: one document, or all of it.

A list goes back to the document before. A stream keeps what its other documents name as well, with
what the newest of these says. All chunks are marked as an amendment, so that no rule tells of them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from services.feeds.payloads.store import PayloadStore
from services.feeds.runs.chunks import Chunker
from services.feeds.runs.document_processor import DocumentProcessor
from services.feeds.runs.leased_run import LeasedRun
from services.feeds.runs.models import StoredDocument
from services.feeds.runs.publisher import publish_chunks
from services.feeds.runs.repository import documents
from services.feeds.runs.repository.documents import PublishedDocument
from services.feeds.snapshots.indicator_texts import Indices
from services.feeds.snapshots.snapshot import (
    Digests,
    FeedSnapshot,
    SnapshotDifference,
    compare,
)
from services.feeds.subscriptions.models import FeedColumns
from shared.errors import InvalidInput
from shared.settings import Settings

_NO_ROWS: Indices = np.empty(0, np.int64)


class LostDocument(InvalidInput):
    """A list cannot go back to a document that is not kept any more.

    Args:
        run_id: of the run that published it.
    """

    def __init__(self, run_id: UUID) -> None:
        super().__init__(
            f"The document before, of the run {run_id}, is not kept any more: upload or fetch what "
            "holds, or take back all that the feed has said."
        )


class _Remainder(NamedTuple):
    """What becomes of the observables of a stream's document that is taken back.

    Attributes:
        named_elsewhere: rows of other documents that name some of them as well.
        gone: rows of the document that no other names.
    """

    named_elsewhere: list[tuple[FeedSnapshot, Indices]]
    gone: Indices


def standing_documents(
    session: Session, feed_id: UUID, payload: str | None
) -> list[PublishedDocument]:
    """A feed's documents that were not taken back, but for one, the newest first."""
    published = documents.published_documents(session, feed_id)
    return [each for each in published if not each.is_retracted and each.payload != payload]


def remaining_documents(
    session: Session, payloads: PayloadStore, feed_id: UUID, payload: str, *, is_list: bool
) -> list[PublishedDocument]:
    """What holds when a document is taken back, the newest first.

    Of a list that is the document before, if there was one; of a stream all others that are kept.

    Raises:
        LostDocument: the document before of a list is not kept any more.
    """
    standing = standing_documents(session, feed_id, payload)
    if not is_list:
        return [each for each in standing if payloads.size(each.payload)]
    if standing and not payloads.size(standing[0].payload):
        raise LostDocument(standing[0].run_id)
    return standing[:1]


async def take_back(
    run: LeasedRun,
    settings: Settings,
    processor: DocumentProcessor,
    document: StoredDocument | None,
    standing: Sequence[StoredDocument],
) -> FeedColumns:
    """Publish what is over, and what holds again; the feed's columns after it.

    Args:
        run: a retraction.
        settings: where the cluster is.
        processor: of the run.
        document: that is taken back; None: all that the feed has said is.
        standing: the other documents that the feed has said and that were not taken back, the
            newest first.

    Raises:
        MalformedDocument, InvalidInput: a document cannot be read any more; nothing was sent.
        FeedMoved: an earlier attempt published what cannot be repeated.
    """
    run.check_base()
    chunker = processor.chunker()
    if document is None:
        return await _leave_nothing(run, settings, processor, chunker)
    if run.is_list:
        return await _go_back(run, settings, processor, chunker, standing)
    with run.report.stage("read"):
        over = await asyncio.to_thread(processor.read_again, document)
        remainder = await asyncio.to_thread(_divide, over, standing, processor)
    with run.report.stage("publish"):
        chunks = _chunks(chunker, over, remainder)
        await publish_chunks(run, settings, chunks, run.report.chunks)
    seen = np.concatenate([_NO_ROWS, *(rows for _, rows in remainder.named_elsewhere)])
    run.report.gone += len(remainder.gone)
    processor.count(SnapshotDifference(seen, remainder.gone, {}, 0), chunker)
    return processor.clear(standing[0] if standing else None)


async def _leave_nothing(
    run: LeasedRun, settings: Settings, processor: DocumentProcessor, chunker: Chunker
) -> FeedColumns:
    """Publish a full statement in which the feed lists nothing."""
    run.report.gone += run.feed.listed
    with run.report.stage("publish"):
        await publish_chunks(run, settings, chunker.statement([]), run.report.chunks)
    processor.count(SnapshotDifference(_NO_ROWS, _NO_ROWS, {}, run.feed.listed), chunker)
    return processor.clear(None)


async def _go_back(
    run: LeasedRun,
    settings: Settings,
    processor: DocumentProcessor,
    chunker: Chunker,
    standing: Sequence[StoredDocument],
) -> FeedColumns:
    """Publish the document before as all that the list says."""
    if not standing:
        return await _leave_nothing(run, settings, processor, chunker)
    with run.report.stage("read"):
        snapshot = await asyncio.to_thread(processor.read_again, standing[0])
    difference = compare(None, snapshot)
    rows = [(snapshot.ids[difference.seen], snapshot.indicators(difference.seen))]
    with run.report.stage("publish"):
        await publish_chunks(run, settings, chunker.statement(rows), run.report.chunks)
    run.report.gone += max(0, run.feed.listed - difference.listed)
    processor.count(difference, chunker)
    return await asyncio.to_thread(processor.settle, standing[0], snapshot, difference)


def _divide(
    over: FeedSnapshot, standing: Sequence[StoredDocument], processor: DocumentProcessor
) -> _Remainder:
    """Divide a document's observables into those that others name as well and the rest."""
    ids, rows = over.first_rows()
    named_elsewhere: list[tuple[FeedSnapshot, Indices]] = []
    for document in standing:
        if not len(ids):
            break
        snapshot = processor.read_again(document)
        common, common_rows = snapshot.first_rows(ids)
        if len(common):
            named_elsewhere.append((snapshot, common_rows))
            is_over = ~np.isin(ids, common, assume_unique=True)
            ids = ids[is_over]
            rows = rows[is_over]
    return _Remainder(named_elsewhere, np.sort(rows))


def _chunks(
    chunker: Chunker, over: FeedSnapshot, remainder: _Remainder
) -> Iterator[tuple[int, bytes]]:
    seen: list[tuple[Digests, Iterator[bytes]]] = [
        (snapshot.ids[rows], snapshot.indicators(rows))
        for snapshot, rows in remainder.named_elsewhere
    ]
    yield from chunker.seen(seen)
    gone = remainder.gone
    yield from chunker.gone([(over.ids[gone], over.indicators(gone))])

"""Processing a document of a feed: read it, compare it with the snapshot, publish what changed."""

import asyncio
import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO, Final

import msgspec
import numpy as np

from services.feeds.formats.base import Format, ParsedIndicator
from services.feeds.formats.registry import format_named
from services.feeds.payloads.store import PayloadStore
from services.feeds.quotas.limits import STORED_ROWS, remaining_rows
from services.feeds.runs.chunks import Chunker
from services.feeds.runs.leased_run import LeasedRun
from services.feeds.runs.models import StoredDocument
from services.feeds.runs.publisher import publish_chunks
from services.feeds.runs.report import RunReport
from services.feeds.sandbox import document_sandbox, run_limits
from services.feeds.snapshots.deduplication import distinct
from services.feeds.snapshots.document_reader import DocumentReader, Rows
from services.feeds.snapshots.parse_job import guess_payload_format, parser_of_payload
from services.feeds.snapshots.snapshot import (
    DamagedSnapshot,
    FeedSnapshot,
    SnapshotDifference,
    compare,
)
from services.feeds.snapshots.store import SnapshotStore
from services.feeds.subscriptions.models import Feed, FeedColumns, Quarantine
from shared.database import PUBLIC
from shared.errors import QuotaExceeded
from shared.events.feeds import IndicatorsObserved
from shared.settings import Settings
from shared.stix.ids import observable_uuid

CONFIRMING_TIMES: Final = 3
"""A suspicious list is published when it comes this often in a row."""
_SUSPICIOUS_SHARE: Final = 0.5


class ShrinkGuardTripped(Exception):  # a decision, not an error
    """The document would take away most of what the feed lists; a person, or time, confirms it."""

    def __init__(self, quarantine: Quarantine) -> None:
        super().__init__(quarantine.reason)
        self.quarantine = quarantine


class DocumentProcessor:
    """Processes the documents of one run.

    Args:
        run: the run; its report is filled.
        settings: of this process.
        payloads: where documents are.
    """

    def __init__(self, run: LeasedRun, settings: Settings, payloads: PayloadStore) -> None:
        self._run = run
        self._settings = settings
        self._payloads = payloads
        self._snapshots = SnapshotStore(settings.data_dir)
        self._replaced: str | None = None

    def check_snapshot(self) -> None:
        """Let the run say everything if the feed's snapshot is not there, before it fetches.

        Raises:
            FeedMoved: an earlier attempt compared with it, and has published the difference.
        """
        feed = self._run.feed
        if not self._run.is_whole or feed.snapshot is None:
            return
        try:
            self._snapshots.check(feed.id, feed.snapshot, feed.data_folder)
        except DamagedSnapshot as damage:
            self._run.become_full(damage.message)

    async def process(self, document: StoredDocument) -> FeedColumns:
        """Read a document and publish what changed, or everything; the feed's columns after it.

        Raises:
            ShrinkGuardTripped: it takes away too much.
            MalformedDocument, InvalidInput: it cannot be read; nothing was sent.
            SandboxLimitExceeded: it takes too much to read it, or breaks its reader.
            FeedMoved: an earlier attempt published what cannot be repeated.
            QuotaExceeded: it lists more than the tenant's feeds may.
        """
        run = self._run
        feed = run.feed
        report = run.report
        run.check_base()
        is_same = content_digest(feed, document, feed.format) == feed.content_digest
        if is_same and run.full_reason is None:
            report.listed = feed.listed
            return {**self._cursor_after(document), "quarantine": None}
        with self._payloads.file(document.payload) as payload:
            return await self._read_and_publish(document, payload)

    async def _read_and_publish(self, document: StoredDocument, payload: BinaryIO) -> FeedColumns:
        run = self._run
        feed = run.feed
        report = run.report
        before = self._load_snapshot()
        self._note_kept_settings()
        format_ = self._format_of(document, payload, report)
        reader = DocumentReader(provenance_digest(feed), before, report)
        rows_left = await asyncio.to_thread(self._rows_left)
        parse = parser_of_payload(
            document_sandbox(self._settings),
            payload,
            format_.name,
            feed.options,
            run_limits(self._settings),
            run.check,
            is_public=feed.tenant == PUBLIC,
        )
        chunker = self.chunker()
        if before is None and feed.listed == 0 and run.full_reason is None and format_.incremental:
            # Nothing can be lost from a first list: it is sent while it is read.
            blocks = self._checked(reader.read(parse), rows_left)
            with report.stage("read and publish"):
                chunks = chunker.seen(distinct(blocks))
                await publish_chunks(run, self._settings, chunks, report.chunks)
            snapshot = reader.snapshot()
            difference = compare(None, snapshot)
        else:
            with report.stage("read"):
                snapshot = reader.read_all(parse, run.check)
            with report.stage("compare"):
                difference = compare(before, snapshot, reader.touched)
            self._require_rows(difference.listed, rows_left)
            self._guard_against_shrinking(difference, before)
            with report.stage("publish"):
                chunks = self._chunks(chunker, before, snapshot, difference, reader.retracted)
                await publish_chunks(run, self._settings, chunks, report.chunks)
        report.count_repeated(reader.named - difference.listed)
        report.count_retracted(len(reader.retracted))
        self.count(difference, chunker)
        return self._progress(document, format_.name, before, snapshot, difference)

    def remove_replaced(self) -> None:
        """Remove the snapshot that another has replaced. The feed's row names the other by now."""
        if self._replaced is not None:
            self._snapshots.remove(self._run.feed.id, self._replaced)

    def read_again(self, document: StoredDocument) -> FeedSnapshot:
        """Read a document that the feed has said before; the run's report does not count it.

        Raises:
            MalformedDocument, InvalidInput: it cannot be read any more.
            SandboxLimitExceeded: it takes too much to read it.
        """
        feed = self._run.feed
        with self._payloads.file(document.payload) as payload:
            parse = parser_of_payload(
                document_sandbox(self._settings),
                payload,
                self._format_of(document, payload, RunReport()).name,
                feed.options,
                run_limits(self._settings),
                self._run.check,
                is_public=feed.tenant == PUBLIC,
            )
            reader = DocumentReader(provenance_digest(feed), None, RunReport())
            return reader.read_all(parse, self._run.check)

    def chunker(self) -> Chunker:
        """Cuts what the run publishes next."""
        return Chunker(self._chunk_head(), self._run.report.chunks)

    def count(self, difference: SnapshotDifference, chunker: Chunker) -> None:
        """Count what was published in the run's report."""
        report = self._run.report
        report.listed += difference.listed
        report.seen += len(difference.seen)
        report.chunks += chunker.buckets.total()
        report.buckets.update(chunker.buckets)
        report.published += chunker.indicators
        report.types.update(difference.types)

    def settle(
        self, document: StoredDocument, snapshot: FeedSnapshot, difference: SnapshotDifference
    ) -> FeedColumns:
        """The feed's columns when a list is at a document that it was at before."""
        feed = self._run.feed
        file = self._snapshots.save(feed.id, replace(snapshot, counts=difference.types))
        self._replaced = feed.snapshot
        return {
            "cursor": {},
            "quarantine": None,
            "payload": document.payload,
            "file_name": document.file_name,
            "snapshot": file,
            "data_folder": self._snapshots.folder_id,
            "listed": difference.listed,
            "content_digest": content_digest(feed, document, feed.format),
        }

    def clear(self, document: StoredDocument | None) -> FeedColumns:
        """The feed's columns when the next document has nothing to be compared with."""
        self._replaced = self._run.feed.snapshot
        return {
            "cursor": {},
            "quarantine": None,
            "payload": document.payload if document else None,
            "file_name": document.file_name if document else None,
            "snapshot": None,
            "listed": 0,
            "content_digest": None,
        }

    def _load_snapshot(self) -> FeedSnapshot | None:
        """The feed's snapshot; None when it has none that can be read."""
        run = self._run
        feed = run.feed
        if not run.is_whole or feed.snapshot is None:
            return None
        try:
            return self._snapshots.load(feed.id, feed.snapshot, feed.data_folder)
        except DamagedSnapshot as damage:
            run.become_full(damage.message)
            return None

    def _note_kept_settings(self) -> None:
        """Tell that an upload is read as the feed's settings say, which outlast each document."""
        feed = self._run.feed
        if self._run.claim.input != "upload" or not (feed.options or feed.format):
            return
        settings = f"format {feed.format}, " if feed.format else ""
        settings += f"options {msgspec.json.encode(feed.options).decode()}"
        self._run.report.notes.append(
            f"read with the settings that the feed keeps ({settings}); under another name a "
            "document is read without them"
        )

    def _format_of(self, document: StoredDocument, payload: BinaryIO, report: RunReport) -> Format:
        """The format of a document; the report gets a note if it had to be guessed."""
        feed = self._run.feed
        name = document.format or feed.format
        if name is None:
            sandbox = document_sandbox(self._settings)
            limits = run_limits(self._settings)
            file_name = document.file_name or feed.url or feed.name
            guess = guess_payload_format(sandbox, payload, file_name, limits)
            report.notes.append(f"read as {guess.format}: {guess.reason}")
            name = guess.format
        return format_named(name)

    def _chunk_head(self) -> IndicatorsObserved:
        feed = self._run.feed
        claim = self._run.claim
        return IndicatorsObserved(
            feed=feed.ref,
            run_id=claim.id,
            bucket=0,
            chunk=0,
            observed_at=claim.observed_at.isoformat(timespec="microseconds"),
            confidence=feed.confidence,
            tags=tuple(sorted(feed.tags)),
            is_repetition=self._run.full_reason is not None,
            is_amendment=claim.is_amendment,
        )

    def _checked(
        self, blocks: Generator[Rows, None, None], rows_left: int | None
    ) -> Iterator[Rows]:
        rows = 0
        # Closed at once, whoever keeps the error: a child works on it.
        with closing(blocks):
            for block in blocks:
                self._run.check()
                rows += len(block.ids)
                self._require_rows(rows, rows_left)
                yield block

    def _rows_left(self) -> int | None:
        """Observables that the feed may list, so that the tenant's feeds keep their quota."""
        feed = self._run.feed
        with self._run.database.transaction(feed.tenant) as session:
            return remaining_rows(session, feed.tenant, feed.listed)

    def _require_rows(self, listed: int, most: int | None) -> None:
        if most is None or listed <= most:
            return
        raise QuotaExceeded(
            f"The feeds of this tenant may list so many observables that {most:,} are left for "
            f"this one, and it lists {listed:,}.",
            quota=STORED_ROWS.name,
            left=most,
            listed=listed,
        )

    def _guard_against_shrinking(
        self, difference: SnapshotDifference, before: FeedSnapshot | None
    ) -> None:
        """Do not believe a list at once that lost more than half.

        When the snapshot is lost, the feed's row tells how many it listed.

        Raises:
            ShrinkGuardTripped: it is not confirmed, and did not come often enough.
        """
        run = self._run
        listed = difference.listed
        listed_before = run.feed.listed if before is None else difference.before
        is_suspicious = listed < listed_before * _SUSPICIOUS_SHARE
        if not run.is_list or not is_suspicious or run.claim.is_confirmed:
            return
        times = 1 + (run.feed.quarantine.times if run.feed.quarantine else 0)
        if times >= CONFIRMING_TIMES:
            run.report.notes.append(f"taken after it was seen {times} times: {listed:,} are listed")
            return
        subject = f"lists {listed:,}" if listed else "is empty"
        reason = (
            f"The list {subject} where {listed_before:,} were listed; "
            "confirm it, or it goes live when seen again."
        )
        quarantine = Quarantine(times, reason, str(run.claim.id), listed, listed_before)
        raise ShrinkGuardTripped(quarantine)

    def _chunks(
        self,
        chunker: Chunker,
        before: FeedSnapshot | None,
        snapshot: FeedSnapshot,
        difference: SnapshotDifference,
        retracted: list[ParsedIndicator],
    ) -> Iterator[tuple[int, bytes]]:
        """The chunks of what is new, and of what is gone from a list or retracted by a stream.

        A full statement of a list is everything that it lists; its end retracts the rest.
        """
        run = self._run
        seen = difference.seen
        gone = difference.gone
        if run.full_reason is not None:
            seen = np.sort(snapshot.first_rows()[1])
        rows = [(snapshot.ids[seen], snapshot.indicators(seen))]
        if run.full_reason is not None and run.is_list:
            run.report.gone += len(gone)
            yield from chunker.statement(rows)
            return
        yield from chunker.seen(rows)
        if run.is_list and before is not None:
            run.report.gone += len(gone)
            yield from chunker.gone([(before.ids[gone], before.indicators(gone))])
        if not run.is_list and (texts := _retracted_texts(retracted, snapshot)):
            self._run.report.gone += len(texts)
            ids = np.frombuffer(b"".join(texts), np.uint64)
            yield from chunker.gone([(ids, texts.values())])

    def _progress(
        self,
        document: StoredDocument,
        format_name: str,
        before: FeedSnapshot | None,
        snapshot: FeedSnapshot,
        difference: SnapshotDifference,
    ) -> FeedColumns:
        """The feed's columns after the document; a changed snapshot is saved."""
        feed = self._run.feed
        changes: FeedColumns = {
            **self._cursor_after(document),
            "quarantine": None,
            "payload": document.payload,
            "file_name": document.file_name,
        }
        if not self._run.is_whole:
            return changes
        settled_format = feed.format
        if self._run.is_list:
            # A list keeps its format: a later document in another format is an error.
            settled_format = settled_format or format_name
            changes["format"] = settled_format
        file = feed.snapshot
        is_changed = (
            before is None
            or snapshot.ids is not before.ids
            or snapshot.provenance_digest != before.provenance_digest
        )
        if is_changed:
            with self._run.report.stage("remember"):
                counted = replace(snapshot, counts=difference.types)
                file = self._snapshots.save(feed.id, counted)
            self._replaced = feed.snapshot
        changes["snapshot"] = file
        changes["data_folder"] = self._snapshots.folder_id
        changes["listed"] = difference.listed
        changes["content_digest"] = content_digest(
            feed, document, settled_format if self._run.is_list else None
        )
        return changes

    def _cursor_after(self, document: StoredDocument) -> FeedColumns:
        """The cursor for the next fetch.

        After an upload a list is fetched in full, and a collection from where it was.
        """
        if document.cursor is not None:
            return {"cursor": document.cursor}
        return {"cursor": {}} if self._run.is_whole else {}


def content_digest(feed: Feed, document: StoredDocument, format_: str | None) -> str:
    """Digest of a document and of everything that decides what is published of it."""
    deciding: list[object] = [format_, feed.options, feed.kind, provenance_digest(feed)]
    if format_ is None and document.file_name is not None:
        deciding.append(document.file_name.rpartition(".")[2])
    encoded = msgspec.json.encode(deciding, order="deterministic")
    return hashlib.sha256(document.payload.encode() + encoded).hexdigest()


def provenance_digest(feed: Feed) -> str:
    """Digest of what decides how a feed's indicators are asserted."""
    deciding = [feed.confidence, feed.reliability, feed.tlp, sorted(feed.tags), feed.name]
    return hashlib.sha256(msgspec.json.encode(deciding)).hexdigest()


def _retracted_texts(
    retracted: list[ParsedIndicator], snapshot: FeedSnapshot
) -> dict[bytes, bytes]:
    """Digest and text of what a source retracts and does not list elsewhere in the document."""
    listed = set(snapshot.ids.tolist()) if retracted else set()
    texts: dict[bytes, bytes] = {}
    for indicator in retracted:
        identity = observable_uuid(indicator.type, indicator.value)[:8]
        if np.frombuffer(identity, np.uint64)[0] not in listed:
            bare = ParsedIndicator(indicator.type, indicator.value)
            texts[identity] = msgspec.json.encode(bare)
    return texts

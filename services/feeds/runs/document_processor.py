"""Taking one document into a feed: read it, compare it with what the feed said before, send on what changed."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import numpy as np
import sqlalchemy as sa

from services.feeds.collectors.base import Collector
from services.feeds.formats.base import ParsedIndicator
from services.feeds.formats.registry import format_named, guess_format
from services.feeds.runs.chunks import Chunker
from services.feeds.runs.lease import LeasedRun
from services.feeds.runs.payloads import Payloads
from services.feeds.runs.publisher import publish
from services.feeds.snapshots.deduplication import distinct
from services.feeds.snapshots.document_reader import DocumentReader, Rows
from services.feeds.snapshots.snapshot import DamagedSnapshot, Difference, FeedSnapshot, compare
from shared.events.feeds import IndicatorsObserved
from shared.settings import Settings
from shared.stix.ids import observable_uuid

TIMES_SEEN: Final = 3
"""A suspicious list goes live when it was seen this often in a row."""
_SUSPICIOUS: Final = 0.5
_HEAD: Final = 64 * 1024


class ShrinkGuardTripped(Exception):  # a decision, not an error
    """The document would take away most of what the feed says; a person, or time, has to confirm it."""

    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__(held["reason"])
        self.held = held


@dataclass(frozen=True)
class StoredDocument:
    """A document of a feed that is stored.

    Attributes:
        payload: digest of its content.
        format: the format it is in; guessed when None.
        cursor: what the feed remembers of the fetch when it was taken; None when it was not fetched.
    """

    payload: str
    format: str | None
    cursor: dict[str, Any] | None


class DocumentProcessor:
    """Takes documents into the feed of one run.

    Args:
        run: the run; its report is filled.
        settings: of this process.
        payloads: where documents are.
        collector: where they come from: a whole list, or the news of a collection.
    """

    def __init__(
        self, run: LeasedRun, settings: Settings, payloads: Payloads, collector: Collector
    ) -> None:
        self._run = run
        self._settings = settings
        self._payloads = payloads
        self._whole = collector.whole
        self._versions = settings.data_dir / "versions" / str(run.feed.id)

    async def process(self, document: StoredDocument) -> None:
        """Read a document, send on what changed, and remember it.

        Raises:
            ShrinkGuardTripped: it takes away too much.
            MalformedDocument, InvalidInput: it cannot be read; nothing was sent.
        """
        run, report = self._run, self._run.report
        if _content(run.feed, document.payload, run.feed.format) == run.feed.content_digest:
            report.taken = run.feed.listed
            run.part_done({**self._place(document), "held": None})
            return
        before = self._before()
        format_ = format_named(document.format or run.feed.format or self._guess(document))
        reader = DocumentReader(
            format_, run.feed.options, _provenance_digest(run.feed), before, report
        )
        opened = partial(self._payloads.open, document.payload)
        chunker = Chunker(self._head(), report.chunks)
        if before is None and format_.incremental:
            rows = self._watched(reader.read(opened))
            with report.stage("read and publish"):
                await publish(run, self._settings, chunker.seen(distinct(rows)), report.chunks)
            version = reader.version()
            difference = compare(None, version)
        else:
            with report.stage("read"):
                for _ in self._watched(reader.read(opened)):
                    continue
                version = reader.version()
            with report.stage("compare"):
                difference = compare(before, version, reader.touched)
            self._hold(difference)
            with report.stage("publish"):
                chunks = self._chunks(chunker, before, version, difference, reader.retracted)
                await publish(run, self._settings, chunks, report.chunks)
        self._count(difference, len(reader.retracted), chunker.chunks)
        self._remember(document, format_.name, before, version, difference)

    def _before(self) -> FeedSnapshot | None:
        if not self._whole or self._run.feed.version is None:
            return None
        try:
            return FeedSnapshot.load(self._versions / self._run.feed.version)
        except DamagedSnapshot as damage:
            self._run.report.notes.append(
                f"{damage.message} What the list no longer names stays until it expires."
            )
            return None

    def _guess(self, document: StoredDocument) -> str:
        with self._payloads.open(document.payload) as stream:
            name, reason = guess_format(
                self._run.feed.url or self._run.feed.name, stream.read(_HEAD)
            )
        self._run.report.notes.append(f"read as {name}: {reason}")
        return name

    def _head(self) -> IndicatorsObserved:
        run, feed = self._run, self._run.feed
        return IndicatorsObserved(
            feed=run.ref,
            run_id=run.id,
            bucket=0,
            chunk=0,
            observed_at=run.row.observed_at.isoformat(timespec="milliseconds"),
            confidence=feed.confidence,
            tags=tuple(sorted(feed.tags)),
        )

    def _watched(self, rows: Iterable[Rows]) -> Iterator[Rows]:
        for some in rows:
            self._run.check()
            yield some

    def _hold(self, difference: Difference) -> None:
        """A list that lost more than half is not believed at once.

        Raises:
            ShrinkGuardTripped: it was not confirmed, and not seen often enough.
        """
        run, feed = self._run, self._run.feed
        few = difference.listed < difference.before * _SUSPICIOUS
        if not self._is_list or not few or run.row.confirmed:
            return
        times = (feed.held or {}).get("times", 0) + 1
        if times >= TIMES_SEEN:
            run.report.notes.append(
                f"taken after it was seen {times} times: {difference.listed:,} are listed"
            )
            return
        what = "is empty" if not difference.listed else f"lists {difference.listed:,}"
        reason = (
            f"The list {what} where {difference.before:,} were listed; "
            "confirm it, or it goes live when seen again."
        )
        evidence = {"listed": difference.listed, "before": difference.before}
        raise ShrinkGuardTripped({"times": times, "reason": reason, "run": str(run.id), **evidence})

    def _chunks(
        self,
        chunker: Chunker,
        before: FeedSnapshot | None,
        version: FeedSnapshot,
        difference: Difference,
        retracted: list[ParsedIndicator],
    ) -> Iterator[tuple[int, bytes]]:
        yield from chunker.seen(
            [(version.ids[difference.seen], version.indicators(difference.seen))]
        )
        if self._is_list:
            if before is not None:
                self._run.report.gone += len(difference.gone)
                yield from chunker.gone(
                    [(before.ids[difference.gone], before.indicators(difference.gone))]
                )
        elif taken_back := _taken_back(retracted, version):
            self._run.report.gone += len(taken_back)
            ids = np.frombuffer(b"".join(taken_back), np.uint64)
            yield from chunker.gone([(ids, taken_back.values())])

    @property
    def _is_list(self) -> bool:
        """Whether what is no longer named is gone."""
        return self._whole and self._run.feed.kind == "snapshot"

    def _count(self, difference: Difference, retracted: int, chunks: int) -> None:
        report = self._run.report
        report.taken += difference.listed
        report.seen += len(difference.seen)
        report.chunks += chunks
        report.types.update(difference.types)
        if repeated := report.named - difference.listed:
            report.dropped["duplicate"] += repeated
        if retracted:
            report.dropped["taken back by the source"] += retracted

    def _place(self, document: StoredDocument) -> dict[str, Any]:
        """Where the next fetch goes on. After an upload a list is fetched in full, and a collection where it was."""
        if document.cursor is None:
            return {"cursor": {}} if self._whole else {}
        return {"cursor": document.cursor}

    def _remember(
        self,
        document: StoredDocument,
        format_: str,
        before: FeedSnapshot | None,
        version: FeedSnapshot,
        difference: Difference,
    ) -> None:
        values: dict[str, Any] = {
            **self._place(document),
            "held": None,
            "payload": document.payload,
        }
        if self._is_list:
            # A list stays what it was found to be: what comes in another form later is wrong, not another list.
            values["format"] = self._run.feed.format or format_
        if not self._whole:
            self._run.part_done(values)
            return
        old = self._run.feed.version
        name = old
        if (
            before is None
            or version.ids is not before.ids
            or version.provenance_digest != before.provenance_digest
        ):
            name = f"{uuid4().hex}.zst"
            with self._run.report.stage("remember"):
                replace(version, counts=difference.types).save(self._versions / name)
        digest = _content(self._run.feed, document.payload, values.get("format"))
        self._run.part_done(
            {**values, "content_digest": digest, "version": name, "listed": difference.listed}
        )
        if old is not None and old != name:
            Path(self._versions / old).unlink(missing_ok=True)


def _content(feed: sa.Row[Any], payload: str, format_: str | None) -> str:
    """What a feed remembers of a payload: its digest together with everything that decides what is read from it."""
    deciding = [format_, feed.options, feed.kind, _provenance_digest(feed)]
    return hashlib.sha256(
        payload.encode() + msgspec.json.encode(deciding, order="deterministic")
    ).hexdigest()


def _provenance_digest(feed: sa.Row[Any]) -> str:
    said = [feed.confidence, feed.reliability, feed.tlp, sorted(feed.tags), feed.name]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def _taken_back(retracted: list[ParsedIndicator], version: FeedSnapshot) -> dict[bytes, bytes]:
    """Digest and text of what a source takes back and does not say elsewhere in the same document."""
    listed = set(version.ids.tolist()) if retracted else set()
    found: dict[bytes, bytes] = {}
    for record in retracted:
        identity = observable_uuid(record.type, record.value)[:8]
        if np.frombuffer(identity, np.uint64)[0] not in listed:
            found[identity] = msgspec.json.encode(ParsedIndicator(record.type, record.value))
    return found

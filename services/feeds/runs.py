"""One feed run from fetch to the last acknowledgement.

A document that breaks off in the middle changes nothing: formats that notice that only at its end are read to the end
before the first chunk goes out. Chunks go straight to Kafka, and only after the last acknowledgement does the feed's
row remember what it saw. A killed run is repeated with the same chunk ids.
"""

import asyncio
import hashlib
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec
import sqlalchemy as sa

from services.feeds import repository
from services.feeds.chunking import Report, chunks
from services.feeds.formats.registry import find, guess
from services.feeds.payloads import Payloads
from services.feeds.schemas import RELIABILITY
from shared.celery import retry_delay
from shared.database import Database
from shared.errors import Conflict, InvalidInput, SentinelIQError, Unavailable, UpstreamError
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, OBSERVED, IndicatorsObserved, RunFinished
from shared.http import GuardedClient
from shared.kafka.outbox import publish
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key
from shared.settings import Settings

SOURCE: Final = "/services/feeds"
MAX_ATTEMPTS: Final = 5
_HEARTBEAT: Final = 3.0
_SPOOL_BYTES: Final = 32 * 1024 * 1024
_LENGTHS: Final = struct.Struct("!HI")


@dataclass
class Fetched:
    """A payload at hand, or the news that it is the same as before."""

    path: Path | None
    digest: str | None
    size: int = 0
    etag: str | None = None
    last_modified: str | None = None


@dataclass
class _Run:
    """A run in progress: its rows, and when its lease was renewed last."""

    database: Database
    row: sa.Row[Any]
    feed: sa.Row[Any]
    started: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)

    def heartbeat(self) -> None:
        """Renew the lease now and then.

        Raises:
            Conflict: another worker took the run over.
        """
        if time.monotonic() - self.renewed < _HEARTBEAT:
            return
        with self.database.transaction(self.row.tenant) as session:
            if not repository.renew_lease(session, self.row.id, self.row.attempts):
                raise Conflict("Another worker has taken this run over.")
        self.renewed = time.monotonic()

    @property
    def ref(self) -> FeedRef:
        return FeedRef(self.feed.id, self.feed.name, RELIABILITY[self.feed.reliability], self.feed.tlp)


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
    run = _Run(database, row, feed)
    try:
        return asyncio.run(_execute(run, settings))
    except Conflict:
        return {"status": "superseded", "run": str(run_id)}
    except SentinelIQError as error:
        return _failed(run, error)


async def _execute(run: _Run, settings: Settings) -> dict[str, Any]:
    payloads = Payloads(settings.data_dir)
    fetched = await _fetch(run, settings, payloads)
    if fetched.path is None or fetched.digest is None or _cursor(run.feed, fetched.digest) == run.feed.content_digest:
        return _finish(run, "unchanged", Report(), fetched)
    report = Report()
    await _publish(run, settings, _chunks(run, fetched.path, report))
    return _finish(run, "succeeded", report, fetched)


async def _fetch(run: _Run, settings: Settings, payloads: Payloads) -> Fetched:
    feed = run.feed
    if run.row.payload is not None:
        path = payloads.path(run.row.payload)
        if not path.exists():
            raise InvalidInput("The uploaded payload is gone from the data folder; upload it again.")
        return Fetched(path, run.row.payload, path.stat().st_size)
    conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.last_modified}
    scratch = payloads.scratch()
    try:
        async with GuardedClient(allow=settings.outbound_allow) as client:
            headers = {name: value for name, value in conditions.items() if value}
            answer = await client.download(feed.url, scratch, headers=headers)
        if answer.status == 304:
            return Fetched(None, None)
        path = payloads.keep(scratch, answer.sha256)
    finally:
        scratch.unlink(missing_ok=True)
    return Fetched(
        path, answer.sha256, answer.bytes_received, answer.headers.get("etag"), answer.headers.get("last-modified")
    )


def _chunks(run: _Run, path: Path, report: Report) -> Iterator[tuple[int, bytes]]:
    """The run's chunks; the first one comes when the document can no longer turn out to be malformed."""
    feed = run.feed
    name = feed.format
    if name is None:
        with path.open("rb") as file:
            name, _ = guess(feed.url or feed.name, file.read(64 * 1024))
    reader = find(name)
    head = IndicatorsObserved(
        feed=run.ref,
        run_id=run.row.id,
        bucket=0,
        chunk=0,
        observed_at=run.row.observed_at.isoformat(timespec="milliseconds"),
        confidence=feed.confidence,
        tags=tuple(sorted(feed.tags)),
    )
    with path.open("rb") as stream:
        found = chunks(reader.parse(stream, feed.options), head, report)
        yield from found if reader.incremental else _whole(run, found)


def _whole(run: _Run, found: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """The same chunks, but only when all of them could be made; in memory, on disk beyond a few megabytes."""
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        for bucket, payload in found:
            spool.write(_LENGTHS.pack(bucket, len(payload)))
            spool.write(payload)
            run.heartbeat()
        spool.seek(0)
        while head := spool.read(_LENGTHS.size):
            bucket, length = _LENGTHS.unpack(head)
            yield bucket, spool.read(length)


async def _publish(run: _Run, settings: Settings, found: Iterator[tuple[int, bytes]]) -> None:
    async with Publisher(settings) as publisher:
        for number, (bucket, payload) in enumerate(found):
            # What a retry repeats has the same id, whenever and wherever it is sent.
            identity = str(uuid5(NAMESPACE_OID, f"{run.row.id}/{number}"))
            headers = Event(OBSERVED, _NOTHING, run.row.tenant, SOURCE, id=identity).headers()
            await publisher.send(OBSERVED.name, bucket_key(bucket), payload, headers)
            # Parsing does not wait for anything by itself: let the producer's own tasks have a turn.
            await asyncio.sleep(0)
            run.heartbeat()
        await publisher.flush()


_NOTHING: Final = IndicatorsObserved(FeedRef(UUID(int=0), ""), UUID(int=0), 0, 0, "")


def _cursor(feed: sa.Row[Any], digest: str) -> str:
    """What a feed remembers of a payload: its digest together with everything that decides what is read from it."""
    reading = [feed.format, feed.options, feed.confidence, feed.reliability, feed.tlp, sorted(feed.tags), feed.name]
    return hashlib.sha256(digest.encode() + msgspec.json.encode(reading, order="deterministic")).hexdigest()


def _finish(run: _Run, state: str, report: Report, fetched: Fetched) -> dict[str, Any]:
    seconds = round(time.monotonic() - run.started, 3)
    stored = report.as_dict() | {"bytes": fetched.size, "seconds": seconds}
    finished = RunFinished(run.ref, run.row.id, state, report.taken, dict(report.dropped), fetched.size, seconds)
    with run.database.transaction(run.row.tenant) as session:
        values = {"state": state, "finished_at": sa.func.now(), "report": stored, "error": None}
        if not repository.end_run(session, run.row.id, run.row.attempts, values):
            raise Conflict("Another worker has taken this run over.")
        if fetched.digest is not None:
            seen = {
                "content_digest": _cursor(run.feed, fetched.digest),
                "etag": fetched.etag,
                "last_modified": fetched.last_modified,
            }
            repository.update_feed(session, run.row.tenant, run.feed.id, seen)
        publish(session, [Event(FINISHED, finished, run.row.tenant, SOURCE, str(run.feed.id).encode())])
    return {"status": state, "run": str(run.row.id), "taken": report.taken, "dropped": report.dropped.total()}


def _failed(run: _Run, error: SentinelIQError) -> dict[str, Any]:
    """Write down what went wrong: for another try when it may help, for good when not."""
    again = isinstance(error, UpstreamError | Unavailable) and error.retryable and run.row.attempts < MAX_ATTEMPTS
    values: dict[str, Any] = {"error": error.as_dict()}
    with run.database.transaction(run.row.tenant) as session:
        if again and isinstance(error, UpstreamError | Unavailable):
            delay = retry_delay(error, run.row.attempts)
            values |= {
                "state": "queued",
                "next_attempt_at": sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, delay),
            }
        else:
            values |= {"state": "failed", "finished_at": sa.func.now()}
        if not repository.end_run(session, run.row.id, run.row.attempts, values):
            return {"status": "superseded", "run": str(run.row.id)}
        if not again:
            told = {"code": error.code, "message": error.message}
            finished = RunFinished(run.ref, run.row.id, "failed", error=told)
            publish(session, [Event(FINISHED, finished, run.row.tenant, SOURCE, str(run.feed.id).encode())])
    return {"status": "waiting" if again else "failed", "run": str(run.row.id), "error": error.as_dict()}

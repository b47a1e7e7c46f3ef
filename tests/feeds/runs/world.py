"""The feeds service, a log, and the observables service: what a model of feeds works with.

The services' code is the real one, on PostgreSQL. The log is a list for each partition, so that
records can be delivered late, in parts, and again. The provider is a table of lists.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from services.feeds.collectors.base import FeedSource, FetchedDocument
from services.feeds.collectors.http import HttpCollector
from services.feeds.payloads.store import PayloadStore
from services.feeds.runs import full_statements, publisher, service
from services.feeds.runs.execution import MAX_DEATHS, execute
from services.feeds.runs.handlers import handle_applied
from services.feeds.runs.leased_run import AttemptOutcome, LeasedRun
from services.feeds.runs.models import StoredDocument
from services.feeds.runs.repository import claims
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.schemas import FeedCreate, FeedPatch
from services.observables.store.handlers import handle_finished, handle_observed
from shared.auth import Principal, Role
from shared.database import PLATFORM, Database, database
from shared.errors import Conflict
from shared.events import ConsumedRecord, Event, Topic, parse
from shared.events.feeds import FINISHED, OBSERVED
from shared.events.observables import APPLIED
from shared.settings import Settings
from tests.feeds.runs.lists import Killed
from tests.observables.conftest import TABLES

PARTITIONS = 2
TENANT = "acme"
PRINCIPAL = Principal("kim@acme.example", TENANT, Role.admin)
ADDRESSES = ("http://127.0.0.1:9/a.txt", "http://127.0.0.1:9/b.txt")

Values = Iterable[int]


def document(values: Values) -> bytes:
    return "\n".join(["# a list", *(f"203.0.113.{value}" for value in sorted(values))]).encode()


class World:
    """One feed, its provider, the log, and everything that can go wrong with them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.feeds: Database = database("feeds")
        self.observables: Database = database("observables")
        self.log: list[list[ConsumedRecord]] = [[] for _ in range(PARTITIONS)]
        self.delivered = [0] * PARTITIONS
        self.finished: list[Event[Any]] = []
        self.lists: dict[str, tuple[int, frozenset[int]]] = {
            address: (1, frozenset()) for address in ADDRESSES
        }
        self.contents: dict[str, frozenset[int]] = {}
        self.on_send: Callable[[int], None] = lambda _: None
        self._truncate()
        feed = FeedCreate(name="model", url=ADDRESSES[0], format="text", kind="snapshot")
        self.feed_id = subscriptions.create_feed(self.feeds, PRINCIPAL, feed).id

    def _truncate(self) -> None:
        with self.feeds.engine.begin() as connection:
            tables = "feeds.feed, feeds.run, feeds.provider, feeds.provider_turn, feeds.outbox"
            connection.execute(sa.text(f"TRUNCATE {tables} CASCADE"))
            tables = ", ".join(f"observables.{table}" for table in self._observables_tables())
            connection.execute(sa.text(f"TRUNCATE {tables} CASCADE"))

    def _observables_tables(self) -> list[str]:
        with self.feeds.engine.begin() as connection:
            query = "SELECT tablename FROM pg_tables WHERE schemaname = 'observables'"
            present = set(connection.execute(sa.text(query)).scalars())
        extra = {name for name in present if "statement" in name or "expect" in name}
        return sorted(present & ({*TABLES} | extra))

    # The parts that are not real

    @contextmanager
    def installed(self) -> Iterator["World"]:
        """The log and the provider stand in for Kafka and for HTTP."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(publisher, "Publisher", lambda _settings, _signer: _LogWriter(self))
            patch.setattr(publisher, "Backpressure", lambda *_: _NoLimit())
            patch.setattr(HttpCollector, "collect", self._collect)
            patch.setattr(service, "send_hint", lambda *_, **__: True)
            yield self

    def _collect(
        self, source: FeedSource, _client: object, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        return self._documents(source, scratch)

    async def _documents(
        self, source: FeedSource, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        etag, values = self.lists[source.url]
        if source.cursor.get("etag") == etag:
            return
        path = scratch / "document"
        path.write_bytes(document(values))
        yield FetchedDocument("list", path, {"etag": etag}, 1)

    # What people and the provider do

    def list_values(self, address: str, values: Values) -> None:
        """The provider changes a list."""
        etag, _ = self.lists[address]
        self.lists[address] = (etag + 1, frozenset(values))

    def fetch(self) -> None:
        service.start_run(self.feeds, PRINCIPAL, self.feed_id)

    def upload(self, values: Values) -> None:
        payloads = PayloadStore(self.settings.data_dir)
        with payloads.scratch() as folder:
            path = folder / "upload"
            path.write_bytes(document(values))
            packed = payloads.pack(path)
            stored = StoredDocument(packed.content.sha256)
            keep = partial(payloads.keep, packed)
            service.ingest(self.feeds, PRINCIPAL, "model", stored, {}, keep)

    def confirm(self) -> None:
        with suppress(Conflict):
            service.confirm(self.feeds, PRINCIPAL, self.feed_id)

    def resync(self) -> None:
        full_statements.resync(self.feeds, PRINCIPAL, self.feed_id)

    def change_address(self, address: str) -> None:
        subscriptions.change_feed(self.feeds, PRINCIPAL, self.feed_id, FeedPatch(url=address))

    # What workers do, and what happens to them

    def work(self, run_id: UUID | None = None) -> AttemptOutcome | None:
        """Work on a run, by default on one that may begin."""
        self.change("DELETE FROM provider")
        self.change("DELETE FROM provider_turn")
        if run_id is None:
            with self.feeds.transaction(PLATFORM) as session:
                waiting = claims.unattended_runs(session)
            if not waiting:
                return None
            run_id = waiting[0].id
        return execute(self.feeds, self.settings, TENANT, run_id)

    def work_until(self, place: str, event: Callable[[], None], count: int = 0) -> None:
        """Work on a run; at a place something happens to its worker, which may kill it."""
        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            if place == "send":
                self._on_chunk(patch, event, count)
            else:
                genuine = getattr(LeasedRun, place)
                _once(patch, place, event, genuine)
            self.work()

    def _on_chunk(self, patch: pytest.MonkeyPatch, event: Callable[[], None], count: int) -> None:
        def on_send(number: int) -> None:
            if number == count:
                patch.setattr(self, "on_send", lambda _: None)
                event()

        patch.setattr(self, "on_send", on_send)

    def kill_worker(self) -> None:
        raise Killed

    def be_overtaken(self) -> None:
        """The worker is frozen; others do its work, and all that waits, until it wakes up."""
        self.end_leases()
        failures: list[BaseException] = []

        def work_all() -> None:
            try:
                self.work_all()
            except BaseException as error:  # noqa: BLE001  # it is raised by the caller
                failures.append(error)

        thread = threading.Thread(target=work_all)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    def work_all(self) -> None:
        """Work until no run is open."""
        for _ in range(50):
            self.change("UPDATE run SET next_attempt_at = now() WHERE state = 'queued'")
            if self.work() is None:
                return
        raise AssertionError("the runs do not come to an end")

    def end_leases(self) -> None:
        self.change("UPDATE run SET lease_until = now() WHERE state = 'running'")

    def release(self) -> None:
        """The workers are restarted."""
        with self.feeds.transaction(PLATFORM) as session:
            for name in session.scalars(sa.text("SELECT DISTINCT worker FROM run")).all():
                claims.release_runs(session, name)

    def wear_out(self) -> None:
        """So many workers died over the run that is at work that it is given up."""
        self.change(f"UPDATE run SET deaths = {MAX_DEATHS} WHERE state = 'running'")

    def step_clock(self) -> None:
        """The database's clock was ahead, and was set right."""
        self.change("UPDATE feed SET observed_at = now() + interval '20 seconds'")

    def lose_version(self, how: str) -> None:
        for path in (self.settings.data_dir / "versions" / str(self.feed_id)).glob("*"):
            if how == "cut":
                path.write_bytes(path.read_bytes()[:-9])
            elif how == "lost":
                path.unlink()
        if how == "foreign":
            (self.settings.data_dir / "data-folder-id").unlink(missing_ok=True)

    # The log

    def append(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        partition = int(key) % PARTITIONS
        records = self.log[partition]
        records.append(ConsumedRecord(OBSERVED.name, partition, len(records), key, value, headers))

    def repeat_record(self, partition: int, number: int) -> None:
        """A record that was sent long ago arrives once more, behind all others."""
        records = self.log[partition]
        if records:
            record = records[number % len(records)]
            assert record.key is not None
            self.append(record.key, record.value, record.headers)

    def deliver(self, partition: int, count: int = 1000, *, again: int = 0) -> None:
        """Let the observables service handle records, the last ones again."""
        records = self.log[partition]
        start = max(0, self.delivered[partition] - again)
        batch = records[start : self.delivered[partition] + count]
        self.delivered[partition] = max(self.delivered[partition], start + len(batch))
        events = [_parsed(OBSERVED, record) for record in batch]
        if events:
            with self.observables.transaction(TENANT) as session:
                handle_observed(session, events)

    def relay(self) -> None:
        """Carry the events of the outboxes over, in order."""
        for event in self._outbox(self.feeds, FINISHED):
            with self.observables.transaction(TENANT) as session:
                handle_finished(session, [event])
        for event in self._outbox(self.observables, APPLIED):
            with self.feeds.transaction(TENANT) as session:
                handle_applied(session, [event])

    def _outbox(self, owner: Database, topic: Topic[Any]) -> list[Event[Any]]:
        with owner.transaction(PLATFORM) as session:
            query = "SELECT topic, key, headers, payload FROM outbox ORDER BY id"
            rows = session.execute(sa.text(query)).all()
            session.execute(sa.text("DELETE FROM outbox"))
        events = []
        for row in rows:
            if row.topic != topic.name:
                continue
            headers = [(name, str(value).encode()) for name, value in row.headers]
            record = ConsumedRecord(topic.name, 0, 0, row.key, bytes(row.payload), headers)
            events.append(_parsed(topic, record))
        return events

    # What is true in the end

    def settle(self) -> None:
        """Let everything come to rest, and compare what is asserted with the last list."""
        self._come_to_rest()
        assert self.asserted() == self._last_document(), "asserted, and the last document"
        self._check_moments()
        self.fetch()
        self._come_to_rest()
        address = self.query("SELECT url FROM feed")
        assert self.asserted() == self.lists[address][1], "asserted, and what the provider lists"

    def _come_to_rest(self) -> None:
        for _ in range(20):
            self.end_leases()
            self.work_all()
            for partition in range(PARTITIONS):
                self.deliver(partition)
            self.relay()
            self.relay()
            if self.query("SELECT held FROM feed") is not None:
                self.confirm()
            elif self.query("SELECT needs_full_statement FROM feed") is not None:
                self.resync()
            elif not self.query("SELECT count(*) FROM run WHERE state IN ('queued', 'running')"):
                return
        raise AssertionError("the feed does not come to rest")

    def asserted(self) -> frozenset[int]:
        """The values that the observables service holds as asserted by the feed."""
        query = (
            "SELECT value FROM assertion JOIN observable ON observable.id = observable_id "
            "WHERE source_id = :feed AND retracted_at IS NULL"
        )
        with self.observables.transaction(TENANT) as session:
            values = session.execute(sa.text(query), {"feed": self.feed_id}).scalars()
            return frozenset(int(value.rpartition(".")[2]) for value in values)

    def _last_document(self) -> frozenset[int]:
        """The values in the document of the last run that published one, or found it unchanged."""
        payload = self.query(
            "SELECT (array_agg(payload ORDER BY queued_at DESC))[1] FROM run "
            "WHERE payload IS NOT NULL "
            "AND state IN ('applying', 'succeeded', 'unconfirmed', 'unchanged')"
        )
        if payload is None:
            return frozenset()
        with PayloadStore(self.settings.data_dir).open(payload) as stream:
            lines = stream.read().decode().splitlines()[1:]
        return frozenset(int(line.rpartition(".")[2]) for line in lines)

    def _check_moments(self) -> None:
        with self.feeds.transaction(PLATFORM) as session:
            query = "SELECT observed_at FROM run WHERE started_at IS NOT NULL ORDER BY queued_at"
            moments = list(session.execute(sa.text(query)).scalars())
        assert moments == sorted(set(moments)), "the moments of runs, in their order"

    def change(self, statement: str) -> None:
        with self.feeds.transaction(PLATFORM) as session:
            session.execute(sa.text(statement))

    def query(self, statement: str) -> Any:
        with self.feeds.transaction(PLATFORM) as session:
            return session.execute(sa.text(statement)).scalar_one()


def _once(
    patch: pytest.MonkeyPatch, place: str, event: Callable[[], None], genuine: Callable[..., Any]
) -> None:
    def interrupted(run: LeasedRun, *args: Any, **values: Any) -> Any:
        patch.setattr(LeasedRun, place, genuine)
        event()
        return genuine(run, *args, **values)

    patch.setattr(LeasedRun, place, interrupted)


def _parsed(topic: Topic[Any], record: ConsumedRecord) -> Event[Any]:
    return parse(topic, record, msgspec.json.Decoder(topic.payload))


class _LogWriter:
    """Kafka's producer: a record is in the log as soon as it is sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def publish(self, event: Event[Any]) -> None:
        assert event.key is not None
        self._world.on_send(self._sent)
        self._world.append(event.key, event.payload(), event.headers())
        self._sent += 1

    async def flush(self) -> None:
        return None


class _NoLimit:
    """Backpressure that never holds a publisher up."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def wait_for_readers(self) -> None:
        return None

    async def wait_for_capacity(self) -> None:
        return None

    def track(self, _acknowledgement: object) -> None:
        return None

"""Applies a batch of a partition's records: one transaction, with its place in the log.

Each transaction locks the partition's row, skips records that are not newer, lets the handler apply
the rest, and advances the row. A record that cannot be read or handled becomes a dead letter in the
same transaction; too many of them halt the partition, since something of our own is broken. A
record that nobody who may send it has signed is a stranger's: it is passed over, and halts nothing.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Generic

import msgspec
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, blames_record, is_transient, set_tenant
from shared.errors import InvalidInput, SentinelIQError, Unavailable
from shared.events import ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.events.signature import EventVerifier
from shared.kafka.code_version import code_version
from shared.kafka.dlq_limit import NO_DEAD_LETTERS, DlqLimit
from shared.kafka.gaps import LogGap, rewound_gap
from shared.kafka.offsets import OffsetRow, PartitionKey
from shared.kafka.outbox import dead_letter
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import (
    EVENT_SECONDS,
    EVENTS_DEAD,
    EVENTS_HANDLED,
    EVENTS_REFUSED,
)
from shared.telemetry.tracing import WorkSpan

log = get_logger(__name__)

_REASON_LENGTH: Final = 2000


@dataclass(frozen=True)
class Subscription(Generic[T]):
    """A topic and the handler of its events.

    Attributes:
        topic: the topic.
        handle: applies events of one tenant, in order, inside the given transaction. It must be
            idempotent by natural key, and raises `InvalidInput` for events that cannot be handled.
        platform: whether the handler sees all tenants: a public observable may match the rules of
            each.
        repair: asks those who published the topic's events for what a gap in the log has taken,
            inside the transaction that notes the gap; returns what it asked for. Without it the
            operator has to send events again.
        pace: the least seconds between two transactions of a partition. A single event is handled
            at once; what follows it within the time is handled together, where nobody waits for it.
    """

    topic: Topic[T]
    handle: Callable[[Session, Sequence[Event[T]]], None]
    platform: bool = False
    repair: Callable[[Session, LogGap], str] | None = None
    pace: float = 0.0


class PartitionHalted(Exception):
    """The partition is halted; a person or another version of the code releases it."""


class HandlerBlocked(Unavailable):
    """The database refuses what a handler does, and neither a value nor an outage explains it.

    A table or a grant is missing, a column is new, an index is damaged: the records wait until a
    person has mended it, or has allowed that they become dead letters.
    """


class RowMovedBack(Exception):
    """The database has lost transactions: it went back to a backup, or to a standby.

    Attributes:
        gap: the records that have to be applied again.
    """

    def __init__(self, last: int, position: int) -> None:
        super().__init__(f"The database went back from offset {position - 1} to {last}.")
        self.gap = rewound_gap(last, position)


class BatchHandler:
    """Applies the records of one topic.

    Args:
        database: the service's.
        settings: name the keys by which signatures are verified.
        subscription: the topic and its handler.
    """

    def __init__(
        self, database: Database, settings: Settings, subscription: Subscription[Any]
    ) -> None:
        self.subscription = subscription
        self._verifier = EventVerifier(settings)
        self._database = database
        self._decoder = msgspec.json.Decoder(subscription.topic.payload)

    def commit(self, key: PartitionKey, batch: Sequence[ConsumedRecord], position: int) -> int:
        """Apply a batch in one transaction; return how many of its records were passed over.

        Args:
            key: the partition.
            batch: its records, in order.
            position: the offset behind the last record that was applied before the batch.

        Raises:
            Unavailable: the database does not answer; a retry is safe.
            HandlerBlocked: a retry is safe, and fails until a person has mended something.
            RowMovedBack: records before the batch have to be applied again.
            PartitionHalted: nothing may be applied.
            DlqLimitExceeded: too many records are dead letters; nothing was applied.
        """
        started = time.perf_counter()
        with self._database.transaction(PLATFORM) as session:
            row = OffsetRow(session, key)
            if row.is_halted:
                raise PartitionHalted
            if row.last + 1 < position:
                raise RowMovedBack(row.last, position)
            limit = self._limit(row)
            before = row.refusals.count
            fresh = [record for record in batch if record.offset > row.last]
            self._apply(session, self._read(session, fresh, row, limit), limit)
            if fresh:
                set_tenant(session, self._database.service, PLATFORM)
                row.advance(fresh[-1], limit.dead_offsets, limit.allowance)
            refused = row.refusals.count - before
            if refused:
                row.store_refusals()
        labels = (self._database.service, self.subscription.topic.name)
        EVENTS_HANDLED.labels(*labels).inc(len(fresh))
        EVENT_SECONDS.labels(*labels).observe(time.perf_counter() - started)
        if refused:
            EVENTS_REFUSED.labels(*labels).inc(refused)
            log.error("consumer.records_refused", topic=key.topic, partition=key.partition)
        return refused

    def _limit(self, row: OffsetRow) -> DlqLimit:
        if code_version(self._database.service) not in row.halting_versions:
            return DlqLimit(row.dead_offsets, row.dead_allowance)
        # Other code goes on beside this one, which has halted the partition before.
        return DlqLimit(row.dead_offsets, row.dead_allowance, share=NO_DEAD_LETTERS)

    def _read(
        self, session: Session, records: Iterable[ConsumedRecord], row: OffsetRow, limit: DlqLimit
    ) -> list[Event[Any]]:
        """Return the events of the records; pass over what no service has signed that may."""
        topic = self.subscription.topic
        events = []
        for record in records:
            signer = ""
            try:
                signer = self._verifier.verify(topic, record, row.unsigned_until)
                events.append(parse(topic, record, self._decoder))
            except InvalidInput as error:
                if signer:
                    self._dead_letter(session, record, error, PLATFORM, limit)
                elif row.refusals.add(record, error.message):
                    self._write_letter(session, record, error, PLATFORM)
        return events

    def _apply(self, session: Session, events: Iterable[Event[Any]], limit: DlqLimit) -> None:
        for tenant, group in groupby(events, key=lambda event: event.tenant):
            tenant_events = list(group)
            scope = PLATFORM if self.subscription.platform else tenant
            with _span(tenant_events[0]):
                error = self._attempt(session, tenant_events, scope, limit)
            if error is None:
                continue
            # At least one event cannot be handled. Apply each by itself, and dead-letter those.
            for event in tenant_events:
                with _span(event):
                    error = self._attempt(session, [event], scope, limit)
                    if error is not None:
                        self._dead_letter(session, event.record, error, tenant, limit)

    def _attempt(
        self, session: Session, events: list[Event[Any]], scope: str, limit: DlqLimit
    ) -> Exception | None:
        """Apply events behind a savepoint; return the error if they cannot be handled at all."""
        structlog.contextvars.bind_contextvars(tenant=events[0].tenant, event=events[0].id)
        try:
            with session.begin_nested():
                set_tenant(session, self._database.service, scope)
                self.subscription.handle(session, events)
        except SentinelIQError as error:
            if error.retryable:
                raise Unavailable(error.message) from error
            return error
        except Exception as error:  # a handler's bug must not block the partition
            if is_transient(error):
                raise Unavailable(f"The database cannot store it now: {error}") from error
            if blames_record(error):
                log.exception("consumer.handler_failed", topic=self.subscription.topic.name)
                return error
            blocked = HandlerBlocked(f"The database cannot store it now: {error}")
            if limit.allowance > 0:
                return blocked
            raise blocked from error
        return None

    def _dead_letter(
        self,
        session: Session,
        record: ConsumedRecord | None,
        error: Exception,
        tenant: str,
        limit: DlqLimit,
    ) -> None:
        if record is None:
            raise error
        if isinstance(error, HandlerBlocked):
            limit.spend_allowance()
        else:
            limit.count(record, error)
        self._write_letter(session, record, error, tenant)

    def _write_letter(
        self, session: Session, record: ConsumedRecord, error: Exception, tenant: str
    ) -> None:
        topic = self.subscription.topic.name
        set_tenant(session, self._database.service, PLATFORM)
        dead_letter(session, record, f"{type(error).__name__}: {error}", tenant=tenant, topic=topic)
        EVENTS_DEAD.labels(self._database.service, topic).inc()
        log.error(
            "consumer.dead_letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=str(error)[:_REASON_LENGTH],
        )


def _span(event: Event[Any]) -> WorkSpan:
    return WorkSpan(f"process {event.topic.name}", event.traceparent, SpanKind.CONSUMER)

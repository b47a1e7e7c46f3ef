"""What happens to a partition beside its records: it begins, halts, is released, or has a gap.

Records of strangers are passed over, and reported.

Each is one transaction, and is told in the log, in a metric and by an event for the audit.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from shared.database import PLATFORM, PUBLIC, Database
from shared.kafka.batch_handler import Subscription
from shared.kafka.code_version import code_version
from shared.kafka.gaps import LogGap, add_gap
from shared.kafka.offsets import (
    Halt,
    OffsetRow,
    PartitionKey,
    StoredOffset,
    offset_in_other_cluster,
    stored_offset,
)
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import CONSUMER_HALTED, LOG_GAPS

log = get_logger(__name__)

_REASON_LENGTH: Final = 2000
_REPORT_PAUSE_SECONDS: Final = 5.0
"""Between two looks whether the audit has to tell of refused records."""


class PartitionState:
    """The state of one partition in the service's database.

    Args:
        database: the service's.
        key: the partition.
        subscription: the partition's topic.
    """

    def __init__(
        self, database: Database, key: PartitionKey, subscription: Subscription[Any]
    ) -> None:
        self._database = database
        self._key = key
        self._subscription = subscription
        self._name = f"{subscription.topic.name}/{key.partition}"
        self._refused = 0
        self._report_at = 0.0

    @property
    def is_report_due(self) -> bool:
        """Whether to look whether the audit has to tell of records that were passed over."""
        return self._refused > 0 and time.monotonic() >= self._report_at

    def read(self) -> StoredOffset | None:
        """Return what is stored; releases a partition that only other versions of the code halted.

        Old and new code run side by side for a while: of two versions that both halted the
        partition, neither releases it.
        """
        stored = stored_offset(self._database, self._key)
        halt = stored.halt if stored is not None else None
        if halt is not None and code_version(self._database.service) not in halt.versions:
            self._release(halt)
            stored = stored_offset(self._database, self._key)
        is_halted = stored is not None and stored.halt is not None
        CONSUMER_HALTED.labels(*self._labels()).set(int(is_halted))
        self._refused = stored.refused if stored is not None else 0
        return stored

    def note_refused(self, count: int) -> None:
        """Note that records were passed over."""
        self._refused += count

    def report_refusals(self) -> None:
        """Tell in the audit of records that were passed over, unless it was told a moment ago.

        A flood that has ended is one entry; one that goes on is an entry a minute.
        """
        if not self.is_report_due:
            return
        self._report_at = time.monotonic() + _REPORT_PAUSE_SECONDS
        with self._database.transaction(PLATFORM) as session:
            row = OffsetRow(session, self._key)
            refusals = row.refusals
            if not row.is_report_due:
                return
            row.close_report()
            self._audit(session, "records.refuse", **refusals.details())
        self._refused = 0
        log.error("consumer.refusals_reported", partition=self._name, **refusals.details())

    def begin(self, start: int, end: int) -> None:
        """Store the first position of a partition without a row.

        A group that has one in another cluster has lost that cluster's log.
        """
        former = offset_in_other_cluster(self._database, self._key)
        with self._database.transaction(PLATFORM) as session:
            row = OffsetRow(session, self._key)
            if row.last >= 0:
                return  # another consumer has begun
            row.move(start - 1)
            if former is None:
                return
            gap = LogGap("replaced", former.last, former.timestamp, start, end, start)
            self._note_gap(session, gap)
        self._report(gap)

    def move(self, gap: LogGap) -> None:
        """Continue behind a gap; nothing changes if another consumer went on meanwhile."""
        with self._database.transaction(PLATFORM) as session:
            row = OffsetRow(session, self._key)
            if row.last != gap.last:
                return
            if gap.resume != row.last + 1:
                row.move(gap.resume - 1)
            self._note_gap(session, gap)
        self._report(gap)

    def halt(self, reason: str) -> None:
        """Halt the partition until it is released."""
        version = code_version(self._database.service)
        with self._database.transaction(PLATFORM) as session:
            OffsetRow(session, self._key).halt(reason[:_REASON_LENGTH], version)
            self._audit(session, "consumers.halt", reason=reason[:500], version=version)
        CONSUMER_HALTED.labels(*self._labels()).set(1)
        log.error("consumer.halted", partition=self._name, reason=reason, version=version)

    def _release(self, halt: Halt) -> None:
        version = code_version(self._database.service)
        halted_by = " ".join(halt.versions)
        with self._database.transaction(PLATFORM) as session:
            OffsetRow(session, self._key).release()
            self._audit(session, "consumers.release", version=version, halted_by=halted_by)
        log.warning("consumer.released", partition=self._name, version=version)

    def _note_gap(self, session: Session, gap: LogGap) -> None:
        repair = "The log has all records; they are applied again."
        is_repaired = gap.kind == "rewound"
        if not is_repaired and self._subscription.repair is not None:
            repair = self._subscription.repair(session, gap)
            is_repaired = True
        elif not is_repaired:
            repair = _resend_step(self._subscription.topic.name, gap)
        add_gap(session, self._key, gap, repair, is_repaired=is_repaired)
        self._audit(session, "consumers.gap", kind=gap.kind, extent=gap.extent, repair=repair)

    def _audit(self, session: Session, action: str, **details: str) -> None:
        service = self._database.service
        audit(session, service, PUBLIC, f"{service} consumer", action, self._name, **details)

    def _report(self, gap: LogGap) -> None:
        service = self._database.service
        LOG_GAPS.labels(service, self._subscription.topic.name, gap.kind).inc()
        log.error("consumer.gap_noticed", partition=self._name, kind=gap.kind, extent=gap.extent)

    def _labels(self) -> tuple[str, str, str]:
        return (self._database.service, self._subscription.topic.name, str(self._key.partition))


def _resend_step(topic: str, gap: LogGap) -> str:
    since = "the beginning of the outage"
    if gap.timestamp is not None:
        since = f"{datetime.fromtimestamp(gap.timestamp / 1000, UTC):%Y-%m-%dT%H:%M:%S}"
    return (
        f"Publish again what was sent since {since}: "
        f"sentineliq events resend --topic {topic} --since {since}"
    )

"""Where to continue in a partition's log: checks that it still is the log that was read before.

Offsets are numbers. A topic that was deleted and made anew, a log folder from a backup, or a power
cut on one node leave a log in which the same numbers stand for other records, or for none. The
record at the stored offset is therefore read again and compared.
"""

from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError, NoOffsetForPartitionError

from shared.events import ConsumedRecord
from shared.kafka.gaps import GapKind, LogGap
from shared.kafka.offsets import StoredOffset, record_digest

_READ_MS: Final = 2_000
_READS: Final = 15
_MARGIN_MS: Final = 10 * 60_000
"""Records from so long before the last one are read again: clocks of brokers differ. Handlers are
idempotent."""


def consumed_record(record: ConsumerRecord) -> ConsumedRecord:
    """Return a record of aiokafka's as handlers see it."""
    return ConsumedRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value or b"",
        list(record.headers),
        record.timestamp,
    )


async def find_gap(
    consumer: AIOKafkaConsumer, partition: TopicPartition, stored: StoredOffset
) -> LogGap | None:
    """Compare a partition's log with what was applied of it; seek behind the last applied record.

    Args:
        consumer: has the partition; its position changes.
        partition: which.
        stored: what the database knows of it.

    Returns:
        The gap, if the log is another one; the position then is undefined.

    Raises:
        KafkaError: the cluster does not answer.
    """
    start, end = await log_bounds(consumer, partition)
    expected = stored.last + 1
    if expected < start:
        return LogGap("expired", stored.last, stored.timestamp, start, end, start)
    if expected > end:
        return await _locate(consumer, partition, stored, start, end)
    if stored.digest is not None and start <= stored.last:
        record = await _read(consumer, partition, stored.last)
        if record is not None and record_digest(record) == stored.digest:
            return None  # reading has gone past it
        if record is not None:
            return await _locate(consumer, partition, stored, start, end)
    consumer.seek(partition, expected)
    return None


async def log_bounds(consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[int, int]:
    """The offset of a log's first record, and the one behind its last."""
    starts = await consumer.beginning_offsets([partition])
    ends = await consumer.end_offsets([partition])
    return starts[partition], ends[partition]


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> ConsumedRecord | None:
    """The record at an offset; None where compaction has removed it."""
    consumer.seek(partition, offset)
    for _ in range(_READS):
        try:
            batches = await consumer.getmany(partition, timeout_ms=_READ_MS, max_records=1)
        except NoOffsetForPartitionError:
            # The client looked for an offset of the group's before this one was sought.
            continue
        for record in batches.get(partition, ()):
            return consumed_record(record) if record.offset == offset else None
        if await consumer.position(partition) > offset:
            return None
    raise KafkaTimeoutError(f"Kafka does not answer with the record at {partition} {offset}.")


async def _locate(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    stored: StoredOffset,
    start: int,
    end: int,
) -> LogGap:
    """Find the first record that may be new in a log that is not the one that was read."""
    resume = start
    if stored.timestamp is not None:
        moment = max(0, stored.timestamp - _MARGIN_MS)
        later = (await consumer.offsets_for_times({partition: moment}))[partition]
        resume = end if later is None else later.offset
    resume = min(max(resume, start), stored.last + 1, end)
    kind: GapKind = "recreated" if resume == start else "truncated"
    return LogGap(kind, stored.last, stored.timestamp, start, end, resume)

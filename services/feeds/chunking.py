"""From records to chunks for Kafka: keyed by bucket, numbered the same way in every repetition of a run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.feeds.formats.base import Batch, Dropped, Record
from shared.events.chunks import MAX_ITEMS
from shared.events.envelope import MAX_EVENT_BYTES
from shared.events.feeds import Indicator, IndicatorsObserved
from shared.kafka.topics import BUCKETS
from shared.stix import bucket
from shared.stix.ids import observable_uuid

MAX_EXAMPLES: Final = 20
_ROOM: Final = MAX_EVENT_BYTES // 2


@dataclass
class Report:
    """What a run took and what it left out, and why.

    Attributes:
        taken: distinct observables sent on.
        types: how many of each type.
        dropped: what was left out, by reason.
        examples: the first of them, with their place.
        notes: what the format decided by itself, such as which column it read.
    """

    taken: int = 0
    chunks: int = 0
    types: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, dropped: Iterable[Dropped]) -> None:
        """Count what a format left out."""
        for one in dropped:
            self.dropped[one.reason] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(one)

    def as_dict(self) -> dict[str, object]:
        """As it is stored with the run."""
        return {
            "taken": self.taken,
            "chunks": self.chunks,
            "types": dict(self.types),
            "dropped": dict(self.dropped),
            "examples": [msgspec.to_builtins(one) for one in self.examples],
            "notes": self.notes,
        }


class _Open:
    """The chunk of one bucket that is being filled."""

    __slots__ = ("items", "number", "room")

    def __init__(self) -> None:
        self.items: list[Indicator] = []
        self.number = 0
        self.room = _ROOM


def chunks(batches: Iterable[Batch], head: IndicatorsObserved, report: Report) -> Iterator[tuple[int, bytes]]:
    """Cut a feed's records into event payloads, each observable once.

    Args:
        batches: what the format read.
        head: the fields that all chunks of the run share.
        report: counts go here.

    Yields:
        Bucket and encoded `IndicatorsObserved`.
    """
    known: set[bytes] = set()
    filling = [_Open() for _ in range(BUCKETS)]
    for batch in batches:
        report.drop(batch.dropped)
        report.notes += batch.notes
        for record in batch.records:
            uuid = observable_uuid(record.type, record.value)
            if uuid in known:
                report.dropped["duplicate"] += 1
                continue
            known.add(uuid)
            report.types[str(record.type)] += 1
            number = bucket(uuid, BUCKETS)
            target = filling[number]
            size = 150 + len(record.value)
            if len(target.items) == MAX_ITEMS or size > target.room:
                yield number, _close(target, number, head, report)
            target.items.append(_indicator(record))
            target.room -= size
    for number, target in enumerate(filling):
        if target.items:
            yield number, _close(target, number, head, report)


def _indicator(record: Record) -> Indicator:
    return Indicator(
        record.type,
        record.value,
        record.confidence,
        record.tags,
        record.malware,
        record.first_seen,
        record.valid_until,
    )


def _close(target: _Open, number: int, head: IndicatorsObserved, report: Report) -> bytes:
    head.bucket, head.chunk, head.seen = number, target.number, target.items
    payload = msgspec.json.encode(head)
    report.taken += len(target.items)
    report.chunks += 1
    target.items, target.room, target.number = [], _ROOM, target.number + 1
    return payload

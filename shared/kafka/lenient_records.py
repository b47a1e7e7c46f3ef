"""Reads what Kafka's format allows and aiokafka does not expect, within limits.

**A batch is expanded only up to a limit.** Kafka bounds the compressed size of a batch; 33 KB of
zstd hold a gigabyte, which would be in this process before a signature is looked at. A batch that
is larger, or compressed in a way that has no limit here, is read as one record without contents,
which becomes a dead letter. Of an answer with many batches the first megabytes are read, and the
rest is fetched again.

**A header's name may be no UTF-8.** Kafka's format says that it is; no broker checks it, and not
every client. The parser of aiokafka refuses such a record as corrupt, each time that it is fetched:
no consumer would ever get past it. Here it is read with the bytes of the name written out, so that
it becomes a dead letter like other records that are wrong.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, SupportsIndex

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_OVERHEAD: Final = 12
"""Bytes before a batch's contents: its first offset, and its length."""
_HEADER: Final = 61
"""Bytes of a batch before its records."""
MAX_BATCH_BYTES: Final = 8 << 20
"""Limit of an expanded batch: four times the largest that a publisher of ours sends."""
MAX_ANSWER_BYTES: Final = 16 << 20
"""Expanded bytes of an answer after which no further batch of it is read."""
_NOT_COMPRESSED: Final = 0
_EXPANDERS: Final = {
    1: cramjam.gzip.decompress_into,
    3: cramjam.lz4.decompress_into,
    4: cramjam.zstd.decompress_into,
}
"""By the number that a batch has for its compression. Snappy has none: nobody here sends it."""


class LenientRecords:
    """The batches of one answer of the broker, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._expanded = 0
        self._records = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        """The size of all batches."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch to read: what is left is fetched again."""
        return self._expanded < MAX_ANSWER_BYTES and bool(self._records.has_next())

    def next_batch(self) -> "LenientBatch":
        """The next batch."""
        start = self._place
        size = int.from_bytes(self._data[start + 8 : start + _OVERHEAD], "big")
        self._place = start + _OVERHEAD + size
        data = self._data[start : self._place]
        batch = self._records.next_batch()
        expanded = _expanded_size(batch.compression_type, data)
        if expanded is None:
            return OversizedBatch(batch, data)
        self._expanded += expanded
        return LenientBatch(batch, data)


def _expanded_size(compression: int, data: bytes) -> int | None:
    """The size of a batch's records; None if it is above the limit, or cannot be told."""
    if compression == _NOT_COMPRESSED:
        return len(data)
    expand = _EXPANDERS.get(compression)
    if expand is None:
        return None
    try:
        return int(expand(data[_HEADER:], _buffer()))
    except cramjam.DecompressionError:  # it does not fit, or it is broken
        return None


@cache
def _buffer() -> bytearray:
    """Where batches are expanded to tell their sizes; a process has one thread that fetches."""
    return bytearray(MAX_BATCH_BYTES)


class LenientBatch:
    """One batch: aiokafka's, but for the records that it cannot read."""

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._batch:
                yield record
                count += 1
        except (CorruptRecordException, UnicodeDecodeError):
            yield from self._read_leniently(count)

    def _read_leniently(self, count: int) -> Iterator[Any]:
        """All records but the first ones; raises again if more than a name is wrong."""
        batch = _DefaultRecordBatchPy(self._data)
        batch._maybe_uncompress()  # noqa: SLF001  # there is no public way to its buffer
        batch._buffer = _LenientBuffer(batch._buffer)  # noqa: SLF001
        for number, record in enumerate(batch):
            if number >= count:
                yield record


class OversizedBatch(LenientBatch):
    """A batch that is not expanded. In place of its records it has one without contents."""

    def __iter__(self) -> Iterator[Any]:
        from shared.telemetry.logging import get_logger  # noqa: PLC0415  # doctor starts sooner

        batch = self._batch
        last = batch.next_offset - 1
        get_logger(__name__).error("batch.not_expanded", offset=batch.base_offset, last_offset=last)
        # The last offset: the consumer may have read the batch's first ones already.
        yield DefaultRecord(last, batch.max_timestamp, batch.timestamp_type, None, None, [])


class _LenientBuffer(bytearray):
    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        part = super().__getitem__(place)
        return _LenientText(part) if isinstance(part, bytearray) else part


class _LenientText(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del errors
        return bytes(self).decode(encoding, "backslashreplace")


def read_leniently() -> None:
    """Let all consumers of this process read such records."""
    fetcher.MemoryRecords = LenientRecords

"""Reads records whose header names are no UTF-8.

Kafka's format says that names of headers are UTF-8; no broker checks it, and not every client. The
parser of aiokafka refuses such a record as corrupt, each time that it is fetched: no consumer would
ever get past it. Here it is read with the bytes of the name written out, so that it becomes a dead
letter like other records that are wrong.
"""

from collections.abc import Iterator
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_OVERHEAD: Final = 12
"""Bytes before a batch's contents: its first offset, and its length."""


class LenientRecords:
    """The batches of one answer of the broker, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._records = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        """The size of all batches."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> "LenientBatch":
        """The next batch."""
        start = self._place
        size = int.from_bytes(self._data[start + 8 : start + _OVERHEAD], "big")
        self._place = start + _OVERHEAD + size
        return LenientBatch(self._records.next_batch(), self._data[start : self._place])


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

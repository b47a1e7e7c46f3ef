"""From encoded indicators to chunks: keyed by bucket, numbered alike in every attempt at a run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import numpy as np

from services.feeds.snapshots.snapshot import Digests
from shared.errors import InvalidInput
from shared.events.chunks import MAX_ITEMS
from shared.events.envelope import MAX_EVENT_BYTES, FeedRef
from shared.events.feeds import IndicatorsObserved
from shared.stix.ids import BUCKETS

_MAX_NUMBER: Final = 2**31
"""A number of a chunk with as many digits as any has."""
_syntax: Final = msgspec.json.Decoder(msgspec.Raw)
"""Checks that a text is one JSON value, and makes nothing of it."""
_END_BYTES: Final = len(f',"statement_chunks":{_MAX_NUMBER}')
"""Bytes of the field that only the last chunk of a bucket has."""


class _Chunk(msgspec.Struct, omit_defaults=True):
    """`IndicatorsObserved` whose lists are encoded already."""

    feed: FeedRef
    run_id: Any
    bucket: int
    chunk: int
    observed_at: str
    confidence: int = 50
    tags: tuple[str, ...] = ()
    seen: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    gone: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    statement_chunks: int | None = None
    repetition: bool = False
    amendment: bool = False


class _OpenChunk:
    """The chunk of one bucket that is being filled, and the bytes that it still takes."""

    __slots__ = ("capacity", "texts")

    def __init__(self, capacity: int) -> None:
        self.texts: list[bytes] = []
        self.capacity = capacity


class Chunker:
    """Cuts encoded indicators into event payloads.

    Args:
        head: the fields that all chunks of the run share.
        number: of the first chunk; those of a bucket are numbered from there.

    Attributes:
        buckets: the number of chunks by bucket.
        indicators: the number of indicators in them.
    """

    def __init__(self, head: IndicatorsObserved, number: int = 0) -> None:
        self._head = head
        self._capacity = _capacity(head)
        self._numbers = [number] * BUCKETS
        self.buckets: Counter[int] = Counter()
        self.indicators = 0

    def seen(self, rows: Iterable[tuple[Digests, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        """Bucket and payload of chunks with observables that are listed.

        Args:
            rows: digests of observables, and as many encoded indicators.
        """
        return self._cut(rows, "seen")

    def statement(
        self, rows: Iterable[tuple[Digests, Iterable[bytes]]]
    ) -> Iterator[tuple[int, bytes]]:
        """The same for a full statement: the last chunk of each bucket ends it.

        The run has no other chunks.
        """
        return self._cut(rows, "seen", is_full=True)

    def gone(self, rows: Iterable[tuple[Digests, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
        """The same for observables that are no longer listed."""
        return self._cut(rows, "gone")

    def _cut(
        self,
        rows: Iterable[tuple[Digests, Iterable[bytes]]],
        name: str,
        *,
        is_full: bool = False,
    ) -> Iterator[tuple[int, bytes]]:
        filling = [_OpenChunk(self._capacity) for _ in range(BUCKETS)]
        for ids, texts in rows:
            for number, text in zip(buckets(ids), texts, strict=True):
                target = filling[number]
                size = len(text) + 1
                if len(target.texts) == MAX_ITEMS or size > target.capacity:
                    yield number, self._close(number, target, name)
                target.texts.append(text)
                target.capacity -= size
        for number, target in enumerate(filling):
            if target.texts or is_full:
                yield number, self._close(number, target, name, is_last=is_full)

    def _close(self, number: int, target: _OpenChunk, name: str, *, is_last: bool = False) -> bytes:
        head = self._head
        texts = _array(target.texts)
        chunk = _Chunk(
            head.feed,
            head.run_id,
            number,
            self._numbers[number],
            head.observed_at,
            head.confidence,
            head.tags,
            repetition=head.is_repetition,
            amendment=head.is_amendment,
        )
        if target.texts:
            setattr(chunk, name, texts)
        self._numbers[number] += 1
        self.buckets[number] += 1
        self.indicators += len(target.texts)
        if is_last:
            chunk.statement_chunks = self._numbers[number]
        target.texts = []
        target.capacity = self._capacity
        return msgspec.json.encode(chunk)


def _array(texts: list[bytes]) -> msgspec.Raw:
    """Encoded indicators as a JSON array.

    Raises:
        InvalidInput: together they are no array. They come from the process that parsed the
            document; one that the document has taken over might leave the list and name a feed.
    """
    array = b"[" + b",".join(texts) + b"]"
    try:
        _syntax.decode(array)
    except msgspec.DecodeError:
        raise InvalidInput("The reader of this document gave what is no indicator.") from None
    return msgspec.Raw(array)


def _capacity(head: IndicatorsObserved) -> int:
    """The bytes that a chunk's encoded indicators may have, with a comma behind each."""
    envelope = _Chunk(
        head.feed,
        head.run_id,
        BUCKETS,
        _MAX_NUMBER,
        head.observed_at,
        head.confidence,
        head.tags,
        seen=msgspec.Raw(b"[]"),
        repetition=head.is_repetition,
        amendment=head.is_amendment,
    )
    return MAX_EVENT_BYTES - len(msgspec.json.encode(envelope)) - _END_BYTES


def buckets(ids: Digests) -> list[int]:
    """The bucket of each observable, as `shared.stix.bucket` has it: by four bytes of its id."""
    first = ids.view(np.uint8).reshape(-1, 8)[:, :4].copy().view(">u4").ravel()
    numbers: list[int] = (first.astype(np.uint64) * BUCKETS >> 32).tolist()
    return numbers

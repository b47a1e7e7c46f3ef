"""Cuts bulk into events of at most 1,000 items, by the bytes that the items have as JSON."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from shared.errors import InvalidInput

Item = TypeVar("Item", bound=msgspec.Struct)

MAX_ITEMS: Final = 1000
EMPTY_LIST_BYTES: Final = 2
"""Bytes of `[]`, which an envelope without items contains already."""

_encode: Final = msgspec.json.Encoder().encode
_SEPARATOR_BYTES: Final = 1


class EncodedItems(NamedTuple, Generic[Item]):
    """The items of one event, and the same as a JSON list."""

    items: list[Item]
    encoded: msgspec.Raw


def keep_whole(item: Item) -> Item:
    """Leave an item as it is, however many bytes it has."""
    return item


def cut_by_size(
    items: Iterable[Item], capacity: int, shorten: Callable[[Item], Item] = keep_whole
) -> Iterator[EncodedItems[Item]]:
    """Cut items, in order, into lists that fit an event; most items are encoded once.

    Args:
        items: the items of all events.
        capacity: the most bytes of an event's list, brackets included.
        shorten: makes an item fit that has more bytes by itself.

    Raises:
        InvalidInput: an item has more bytes all the same; it should have been refused on arrival.
    """
    rest = iter(items)
    while batch := list(islice(rest, MAX_ITEMS)):
        encoded = _encode(batch)
        if len(encoded) <= capacity:
            yield EncodedItems(batch, msgspec.Raw(encoded))
        else:
            yield from _cut_each(batch, capacity, shorten)


def _cut_each(
    items: list[Item], capacity: int, shorten: Callable[[Item], Item]
) -> Iterator[EncodedItems[Item]]:
    """Cut items that do not fit together, by the bytes of each."""
    texts: list[bytes] = []
    start = 0
    free = capacity - EMPTY_LIST_BYTES
    for number, item in enumerate(items):
        text = _encode(item)
        if len(text) > capacity - EMPTY_LIST_BYTES:
            items[number] = shorten(item)
            text = _encode(items[number])
        needed = len(text) + _SEPARATOR_BYTES * bool(texts)
        if texts and needed > free:
            yield _join(items[start:number], texts)
            texts = []
            start = number
            free = capacity - EMPTY_LIST_BYTES
            needed = len(text)
        if needed > free:
            raise InvalidInput(
                f"An item has {len(text):,} bytes; an event takes {capacity:,} bytes of items."
            )
        texts.append(text)
        free -= needed
    yield _join(items[start:], texts)


def _join(items: list[Item], texts: Sequence[bytes]) -> EncodedItems[Item]:
    return EncodedItems(items, msgspec.Raw(b"[" + b",".join(texts) + b"]"))

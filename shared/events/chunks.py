"""Cuts bulk into events of at most 1,000 items, well below the size limit of an event."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from shared.events.envelope import MAX_EVENT_BYTES

Item = TypeVar("Item")

MAX_ITEMS: Final = 1000
_CAPACITY: Final = MAX_EVENT_BYTES // 2
"""Bytes of a chunk's items. JSON escapes may double a text: half of the limit leaves space for that
and for the event's other fields."""


def chunked(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Cut items, in order, into chunks that fit an event.

    Args:
        items: the items of all events.
        size: estimates the bytes of an item as JSON.
    """
    chunk: list[Item] = []
    free = _CAPACITY
    for item in items:
        needed = size(item)
        if chunk and (len(chunk) == MAX_ITEMS or needed > free):
            yield chunk
            chunk = []
            free = _CAPACITY
        chunk.append(item)
        free -= needed
    if chunk:
        yield chunk

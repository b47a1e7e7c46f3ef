"""Cutting bulk into events: at most 1,000 items, and safely below the size an event may have."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from shared.events.envelope import MAX_EVENT_BYTES

Item = TypeVar("Item")

MAX_ITEMS: Final = 1000
_ROOM: Final = MAX_EVENT_BYTES // 2
"""JSON escapes may double a text; half of the limit leaves room for that and for the event's own fields."""


def chunked(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Items in order, in chunks that fit an event.

    Args:
        items: what is to be sent.
        size: about how many bytes an item takes as JSON.
    """
    chunk: list[Item] = []
    room = _ROOM
    for item in items:
        needed = size(item)
        if chunk and (len(chunk) == MAX_ITEMS or needed > room):
            yield chunk
            chunk, room = [], _ROOM
        chunk.append(item)
        room -= needed
    if chunk:
        yield chunk

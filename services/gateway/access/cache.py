"""A small cache whose entries end after some seconds, the least used first. No I/O."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class ExpiringCache(Generic[_Value]):
    """Keeps values for some seconds.

    Args:
        seconds: how long a value is good.
        most: entries; those that were used the longest ago go first.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._entries: OrderedDict[Hashable, tuple[float, _Value]] = OrderedDict()

    def get(self, key: Hashable) -> _Value | None:
        """Return a value that is still good; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= time.monotonic():
            self._entries.pop(key, None)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: _Value) -> None:
        """Keep a value."""
        self._entries[key] = (time.monotonic() + self._seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

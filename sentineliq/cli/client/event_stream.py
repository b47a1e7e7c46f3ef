"""Parses server-sent events as they arrive."""

import json
from collections.abc import Iterator
from typing import Any


class EventStream:
    """A parser of one stream (WHATWG HTML, section 9.2.6).

    It gives names and data; comments, ids and retry times are skipped.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data = ""

    def feed(self, chunk: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that this chunk completes: name, and data as JSON."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if event := self._line(line.rstrip(b"\r").decode()):
                yield event

    def _line(self, line: str) -> tuple[str, dict[str, Any]] | None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data += value
        elif not line and self._data:
            event = (self._name or "message", json.loads(self._data))
            self._name = ""
            self._data = ""
            return event
        return None

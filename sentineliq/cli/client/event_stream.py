"""Server-sent events as they come over the wire."""

import json
from collections.abc import Iterator
from typing import Any


class EventStream:
    """Takes a stream apart (WHATWG HTML, section 9.2.6): names and data; comments, ids and times are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._data = "", ""

    def feed(self, piece: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that are complete with this piece: name, and data as JSON."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
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
            event = self._name or "message", json.loads(self._data)
            self._name, self._data = "", ""
            return event
        return None

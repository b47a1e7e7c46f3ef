"""The form of a dead letter: the original record, why it is one, and where it came from.

A letter always fits its topic: whatever a record consists of, a letter can be written for it.
"""

from typing import Final, NamedTuple

from shared.events import MAX_EVENT_BYTES, ConsumedRecord, Headers, now

MAX_LETTER_BYTES: Final = 2 * MAX_EVENT_BYTES + 32 * 1024
"""Limit of a letter. A topic takes records of `2 * MAX_EVENT_BYTES`, compressed: a record may be
larger than that when it is read."""

MAX_LETTER_BATCH: Final = MAX_LETTER_BYTES + 32 * 1024
"""`max.message.bytes` of a topic of dead letters: a letter, and what Kafka adds to it."""

_REASON_LENGTH: Final = 2000
_KEY_BYTES: Final = 64 * 1024
_HEADERS_BYTES: Final = 128 * 1024
_HEADER_BYTES: Final = 16 * 1024
_FIELD_BYTES: Final = 16
"""Bytes that Kafka's record format needs for the lengths of a header, at most."""


class Letter(NamedTuple):
    """A record for a topic of dead letters."""

    key: bytes | None
    value: bytes
    headers: Headers


def compose_letter(record: ConsumedRecord, reason: str) -> Letter:
    """Make the letter of a record.

    Key, value and headers stay as they are; headers `dead-reason`, `dead-at` and `dead-origin` are
    added. What does not fit is cut; the header `dead-cut` then says what, and `dead-empty` names
    headers that had no value.
    """
    origin = f"{record.topic}/{record.partition}/{record.offset}"
    own = [
        ("dead-reason", reason[:_REASON_LENGTH]),
        ("dead-at", now()),
        ("dead-origin", origin),
    ]
    empty = [name for name, value in record.headers if value is None]
    if empty:
        own.append(("dead-empty", ", ".join(empty)[:_REASON_LENGTH]))
    letter = Letter(record.key, record.value, [_storable(*header) for header in record.headers])
    notes: list[str] = []
    if _size(letter) > 2 * MAX_EVENT_BYTES:
        letter = _cut(letter, notes)
    if notes:
        own.append(("dead-cut", "; ".join(notes)))
    added = [(name, text.encode("utf-8", "backslashreplace")) for name, text in own]
    return letter._replace(headers=[*letter.headers, *added])


def _storable(name: str, value: bytes | None) -> tuple[str, bytes]:
    return name.encode("utf-8", "backslashreplace").decode(), value or b""


def _cut(letter: Letter, notes: list[str]) -> Letter:
    """Cut a letter to the size of a record; add to the notes what was cut."""
    headers: Headers = []
    free = _HEADERS_BYTES
    for header in letter.headers:
        needed = _header_size(*header)
        if needed <= min(free, _HEADER_BYTES):
            free -= needed
            headers.append(header)
    if lost := len(letter.headers) - len(headers):
        notes.append(f"{lost} headers are left out")
    key = letter.key
    if key is not None and len(key) > _KEY_BYTES:
        notes.append(f"the key had {len(key)} bytes")
        key = key[:_KEY_BYTES]
    free = 2 * MAX_EVENT_BYTES - _size(Letter(key, b"", headers))
    value = letter.value
    if len(value) > free:
        notes.append(f"the value had {len(value)} bytes")
        value = value[:free]
    return Letter(key, value, headers)


def _size(letter: Letter) -> int:
    headers = sum(_header_size(*header) for header in letter.headers)
    return len(letter.key or b"") + len(letter.value) + headers


def _header_size(name: str, value: bytes) -> int:
    return len(name.encode()) + len(value) + _FIELD_BYTES

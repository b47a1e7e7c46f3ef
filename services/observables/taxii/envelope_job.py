"""Reading a posted envelope, in a child process."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.observables.taxii.posted_objects import (
    MarkingDefinitions,
    PostedObject,
    check_object,
)
from shared.errors import InvalidInput, TooLargeInput
from shared.sandbox.files import reopened

MAX_OBJECTS: Final = 50_000
"""Objects of one envelope."""
_OBJECTS_PER_FRAME: Final = 500


class _Envelope(msgspec.Struct):
    objects: list[msgspec.Raw]


def envelope_job(ceiling: bytes, files: list[int]) -> Iterator[bytes]:
    """Check the objects of an envelope: lists of `PostedObject`, in their order.

    Args:
        ceiling: the strictest marking that the collection takes.
        files: the envelope.

    Raises:
        InvalidInput: the document is no envelope, or has no objects.
        TooLargeInput: it has too many.
    """
    with reopened(files[0]) as file:
        envelope = _read(file.read())
    objects = envelope.objects
    # Each is decoded twice: all of them at once would take several times the envelope's memory.
    definitions = MarkingDefinitions(map(_decode, objects))
    for start in range(0, len(objects), _OBJECTS_PER_FRAME):
        checked = [
            check_object(bytes(raw), _decode(raw), place, definitions, ceiling.decode())
            for place, raw in enumerate(objects[start : start + _OBJECTS_PER_FRAME], start)
        ]
        yield msgspec.msgpack.encode(checked)


def read_frame(frame: bytes | bytearray) -> list[PostedObject]:
    """The objects of a frame of the job."""
    return msgspec.msgpack.decode(frame, type=list[PostedObject])


def _read(content: bytes) -> _Envelope:
    try:
        envelope = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is no envelope: {error}.", field="body") from None
    if not envelope.objects:
        raise InvalidInput("The envelope has no objects.", field="objects")
    if len(envelope.objects) > MAX_OBJECTS:
        raise TooLargeInput(f"An envelope may have {MAX_OBJECTS:,} objects.", field="objects")
    return envelope


def _decode(raw: msgspec.Raw) -> Any:
    """An object, or None if it cannot be read: then it is refused by itself."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

"""A file of arrays: what datasets are packed into.

A process reads it without parsing or copying. The layout is a magic number, the length of the
header, the header (MessagePack) and the arrays, each aligned to a cache line.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from shared.errors import InvalidInput

Array = np.ndarray[Any, Any]

_MAGIC: Final = b"SIQREF1\n"
_LENGTH: Final = slice(8, 16)
_HEADER_START: Final = 16
_ALIGNMENT: Final = 64


def pack(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """A description and arrays as one piece of bytes.

    Args:
        about: what goes into the header; anything that MessagePack holds.
        arrays: one-dimensional arrays of numbers, or bytes as uint8.
    """
    layout: list[tuple[str, str, int, int]] = []
    size = 0
    for name, array in arrays.items():
        layout.append((name, array.dtype.str, size, array.size))
        size += _aligned(array.nbytes)
    header = msgspec.msgpack.encode((dict(about), layout))
    start = _arrays_start(len(header))
    packed = bytearray(start + size)
    packed[: len(_MAGIC)] = _MAGIC
    packed[_LENGTH] = len(header).to_bytes(8, "little")
    packed[_HEADER_START : _HEADER_START + len(header)] = header
    for (_, _, offset, _), array in zip(layout, arrays.values(), strict=True):
        begin = start + offset
        packed[begin : begin + array.nbytes] = np.ascontiguousarray(array).tobytes()
    return bytes(packed)


def unpack(buffer: bytes | memoryview) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the arrays of `pack`; the arrays are views of the buffer.

    Raises:
        InvalidInput: the bytes are no packed data, or were cut off.
    """
    view = memoryview(buffer)
    try:
        if bytes(view[: len(_MAGIC)]) != _MAGIC:
            raise ValueError("the magic number is missing")  # noqa: TRY301  # reported below
        length = int.from_bytes(view[_LENGTH], "little")
        about, layout = msgspec.msgpack.decode(view[_HEADER_START : _HEADER_START + length])
        start = _arrays_start(length)
        arrays = {
            name: np.frombuffer(view, dtype=dtype, count=size, offset=start + offset)
            for name, dtype, offset, size in layout
        }
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"This is no packed reference data, or not all of it: {error}"
        ) from error
    return about, arrays


def _arrays_start(header: int) -> int:
    return _aligned(_HEADER_START + header)


def _aligned(size: int) -> int:
    """A size rounded up to the alignment."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT

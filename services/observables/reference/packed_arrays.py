"""One file of arrays: what reference data is packed into, so that a process reads it without parsing or copying it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from shared.errors import InvalidInput

Array = np.ndarray[Any, Any]
_MAGIC: Final = b"SIQREF1\n"
_ALIGNED: Final = 64


def pack(about: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """A description and arrays as one piece of bytes: magic, length of the header, header, aligned arrays.

    Args:
        about: what goes into the header; anything that MessagePack holds.
        arrays: one-dimensional arrays of numbers, or bytes as uint8.
    """
    layout, place = [], 0
    for name, array in arrays.items():
        layout.append((name, array.dtype.str, place, array.size))
        place += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = msgspec.msgpack.encode((dict(about), layout))
    start = _start(len(header))
    packed = bytearray(start + place)
    packed[:8], packed[8:16], packed[16 : 16 + len(header)] = (
        _MAGIC,
        len(header).to_bytes(8, "little"),
        header,
    )
    for (_, _, at, _), array in zip(layout, arrays.values(), strict=True):
        packed[start + at : start + at + array.nbytes] = np.ascontiguousarray(array).tobytes()
    return bytes(packed)


def unpack(buffer: bytes | memoryview) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `pack` was given; the arrays are views of the buffer.

    Raises:
        InvalidInput: the bytes are no packed data, or were cut off.
    """
    view = memoryview(buffer)
    try:
        if bytes(view[:8]) != _MAGIC:
            raise ValueError("the first eight bytes are others")  # noqa: TRY301  # told to the caller below
        length = int.from_bytes(view[8:16], "little")
        about, layout = msgspec.msgpack.decode(view[16 : 16 + length])
        start = _start(length)
        arrays = {
            name: np.frombuffer(view, dtype=dtype, count=size, offset=start + at)
            for name, dtype, at, size in layout
        }
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"This is no packed reference data, or not all of it: {error}"
        ) from error
    return about, arrays


def _start(header: int) -> int:
    return -(-(16 + header) // _ALIGNED) * _ALIGNED

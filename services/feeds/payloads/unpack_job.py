"""Unpacking a document in a child process."""

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from services.feeds.payloads.unpack import is_wrapped, unpacked_pieces
from services.feeds.sandbox import unpack_limits
from shared.sandbox.files import reopened
from shared.sandbox.pool import SandboxPool

_PIECE: Final = 256 * 1024


def document_pieces(
    sandbox: SandboxPool, source: BinaryIO, wrapping: list[str]
) -> Iterator[bytes | bytearray]:
    """The content of a document, piece by piece.

    What is not wrapped is not looked at, so that it needs no child.

    Args:
        sandbox: the children.
        source: a file, from its beginning.
        wrapping: gets the names of the layers, outermost first.

    Raises:
        MalformedDocument: see `unpacked_pieces`.
    """
    if not is_wrapped(source):
        while piece := source.read(_PIECE):
            yield piece
        return
    frames = sandbox.run(unpack_job, b"", [source.fileno()], unpack_limits())
    wrapping += msgspec.msgpack.decode(next(frames), type=list[str])
    yield from frames


def unpack_job(_request: bytes, files: list[int]) -> Iterator[bytes]:
    """Unpack a file, in the child: first the layers, then the content."""
    wrapping: list[str] = []
    with reopened(files[0]) as source:
        pieces = unpacked_pieces(source, wrapping)
        first = next(pieces, b"")
        yield msgspec.msgpack.encode(wrapping)
        if first:
            yield first
        yield from pieces

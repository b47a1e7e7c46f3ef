"""Unwraps documents: gzip, zstd and zip, recognised by their first bytes, within limits.

Sources: RFC 1952 (gzip), RFC 8878 (zstd), PKWARE's APPNOTE 6.3.10 §4.3.16 (the end of a zip's
central directory).
"""

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final, NamedTuple, Protocol

from services.feeds.formats.base import MalformedDocument
from shared.http import BadBody, Decoder, Limits, TooLarge, Unreachable
from shared.http.limits import GIB, MIB

LIMITS: Final = Limits(max_bytes=GIB, max_expanded=2 * GIB)
MAX_ENTRIES: Final = 16
"""Files in a zip archive."""
MAX_LAYERS: Final = 2
"""A list is sometimes gzipped and then zipped; deeper is an attack."""

_PIECE: Final = 256 * 1024
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_OFFICE_MEMBERS: Final = (
    b"[Content_Types].xml",
    b"_rels/.rels",
    b"docProps/",
    b"xl/",
    b"mimetypeapplication/vnd.oasis",
)
_END: Final = struct.Struct("<4s4H2LH")
_DIRECTORY_BYTES: Final = MAX_ENTRIES * 1024
_ENCRYPTED: Final = 0x1


class Sink(Protocol):
    """A target for content."""

    def write(self, data: bytes, /) -> object:
        """Write a piece."""
        ...


class Unpacked(NamedTuple):
    """A document's content.

    Attributes:
        sha256: of the content.
        size: bytes of the content.
        wrapping: the layers, outermost first, such as `("zip", "gzip")`.
    """

    sha256: str
    size: int
    wrapping: tuple[str, ...]


def unpack(source: BinaryIO, sink: Sink, limits: Limits = LIMITS) -> Unpacked:
    """Write a document's content into a sink.

    Args:
        source: a file, from its beginning; it must be seekable.
        sink: gets the content piece by piece.
        limits: of packed bytes, unpacked bytes and their ratio.

    Raises:
        MalformedDocument: it is damaged, cut off, encrypted, of several files or too large.
    """
    digest = hashlib.sha256()
    size = 0
    wrapping: list[str] = []
    for piece in unpacked_pieces(source, wrapping, limits):
        digest.update(piece)
        size += len(piece)
        sink.write(piece)
    return Unpacked(digest.hexdigest(), size, tuple(wrapping))


def unpacked_pieces(
    source: BinaryIO, wrapping: list[str], limits: Limits = LIMITS
) -> Iterator[bytes]:
    """A document's content, piece by piece.

    Args:
        source: a file, from its beginning; it must be seekable.
        wrapping: gets the names of the layers, outermost first; before the first piece.
        limits: of packed bytes, unpacked bytes and their ratio.

    Raises:
        MalformedDocument: it is damaged, cut off, encrypted, of several files or too large.
    """
    try:
        if _kind(source.read(4)) == "zip" and is_wrapped(source):
            wrapping.append("zip")
            pieces = _unzipped(source, limits)
        else:
            source.seek(0)
            pieces = iter(lambda: source.read(_PIECE), b"")
        yield from _unwrapped(pieces, limits, wrapping)
    except (BadBody, TooLarge, Unreachable) as problem:
        raise MalformedDocument(problem.message) from None


def is_wrapped(source: BinaryIO) -> bool:
    """Whether a file begins as one that has to be unpacked; it is at its beginning afterwards."""
    source.seek(0)
    head = source.read(512)
    source.seek(0)
    return _kind(head) is not None and not _begins_office_document(head)


def _kind(head: bytes) -> str | None:
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def _begins_office_document(head: bytes) -> bool:
    """Whether a zip archive is itself a document: Office Open XML or OpenDocument.

    Their first member names them. Its name stands at byte 30, behind its length (§4.3.7).
    """
    name_length = int.from_bytes(head[26:28], "little")
    is_zip = head.startswith(b"PK")
    return is_zip and head[30:].startswith(_OFFICE_MEMBERS) and 0 < name_length < 100


def _unwrapped(pieces: Iterator[bytes], limits: Limits, wrapping: list[str]) -> Iterator[bytes]:
    first = next(pieces, b"")
    kind = _kind(first)
    if kind is None or (kind == "zip" and _begins_office_document(first)):
        return chain([first], pieces)
    if len(wrapping) == MAX_LAYERS or kind == "zip":
        raise MalformedDocument(
            f"it is {kind} within {' within '.join(reversed(wrapping))}; "
            f"at most {MAX_LAYERS} layers are unwrapped"
        )
    wrapping.append(kind)
    decoded = _decoded(chain([first], pieces), Decoder(kind, limits, f"the {kind} data"))
    return _unwrapped(decoded, limits, wrapping)


def _decoded(pieces: Iterator[bytes], decoder: Decoder) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.feed(piece)
    decoder.finish()


def _unzipped(source: BinaryIO, limits: Limits) -> Iterator[bytes]:
    """The content of an archive's only file; names of entries are never used as paths."""
    _check_directory(source)
    try:
        with zipfile.ZipFile(source) as archive:
            files = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir() and "__MACOSX" not in entry.filename
            ]
            if len(files) != 1:
                raise MalformedDocument(
                    f"the zip archive holds {len(files)} files; exactly one is expected"
                )
            entry = files[0]
            if entry.flag_bits & _ENCRYPTED:
                raise MalformedDocument("the zip archive is encrypted")
            size = 0
            max_size = min(max(MIB, limits.ratio * entry.compress_size), limits.max_expanded)
            with archive.open(entry) as stream:
                while piece := stream.read(_PIECE):
                    size += len(piece)
                    if size > max_size:
                        raise TooLarge("the zip archive expands to more than a feed may have")
                    yield piece
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as problem:
        raise MalformedDocument(f"the zip archive is damaged: {problem}") from None


def _check_directory(source: BinaryIO) -> None:
    """Look at the archive's end before its directory is read: that may have millions of entries."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - 65_557))
    tail = source.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + _END.size:
        raise MalformedDocument("the zip archive breaks off before its end")
    _, _, _, _, entries, directory, _, _ = _END.unpack_from(tail, at)
    if entries > MAX_ENTRIES or directory > _DIRECTORY_BYTES:
        raise MalformedDocument(
            f"the zip archive has {entries:,} entries; at most {MAX_ENTRIES} are looked at"
        )
    source.seek(0)

"""Content decoding with limits on what comes out, safe against decompression bombs.

Compressed data may expand a thousandfold, and encodings may be stacked. So every stage yields small
pieces, and each piece is checked: received bytes, expanded bytes, their ratio, and the number of
gzip members or zstd frames. Sources: RFC 9110 (8.4), RFC 1952 (members), RFC 8878 and RFC 9659
(zstd and its window).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Protocol

from shared.http.errors import BadBody, TooLarge, Unreachable
from shared.http.limits import MIB, Limits

MAX_MEMBERS = 16
"""Limit of gzip members or zstd frames in a body: each costs time, even if it is empty."""
MAX_ENCODINGS = 2
RATIO_GRACE = MIB
"""Expanded bytes up to which the ratio is not checked: small texts compress without limit."""

_HAS_ZSTD = find_spec("zstandard") is not None
ACCEPT_ENCODING = "gzip, deflate, zstd" if _HAS_ZSTD else "gzip, deflate"

_PIECE = 256 << 10
_SLICE = 16 << 10
# zstd has no output limit. A block of 128 KiB needs 4 bytes, so a slice becomes 8 MiB at most.
_ZSTD_SLICE = 256
_ZSTD_WINDOW = 8 * MIB


class _Stream(Protocol):
    """The decompression of one compressed member: the interface of zlib's objects."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _ZstdFrame:
    """A zstd frame with zlib's interface."""

    unconsumed_tail = b""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415  # an extra: not every service has it

        self._stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        self._error = zstandard.ZstdError

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, _max_length: int, /) -> bytes:
        try:
            return self._stream.decompress(data)
        except self._error as error:
            raise zlib.error(str(error)) from None


def _deflate(start: bytes) -> _Stream:
    # RFC 9110 means the zlib format, but some servers send bare deflate; the first byte tells.
    return zlib.decompressobj(15 if start[0] & 0x8F == 0x08 else -15)


class _Stage:
    """Decodes one encoding: a sequence of at most `MAX_MEMBERS` members."""

    def __init__(self, begin: Callable[[bytes], _Stream], what: str, step: int = _SLICE) -> None:
        self._begin = begin
        self._what = what
        self._step = step
        self._stream: _Stream | None = None
        self._members = 0
        self.expanded = 0

    @property
    def complete(self) -> bool:
        """Whether the data so far is complete."""
        return self._stream is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode data in pieces of limited size. Exhaust the iterator before the next call."""
        for start in range(0, len(data), self._step):
            yield from self._decode(data[start : start + self._step])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        more = True
        while data or more:
            if self._stream is None:
                # Some programs pad the end with zeros.
                data = data.lstrip(b"\0") if self._members else data
                if not data:
                    return
                self._stream = self._next_member(data)
            piece = self._stream.decompress(data, _PIECE)
            if piece:
                self.expanded += len(piece)
                yield piece
            more = len(piece) >= _PIECE  # the stream may hold the rest, with no input left
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream = None

    def _next_member(self, data: bytes) -> _Stream:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise TooLarge(f"{self._what} has more than {MAX_MEMBERS} compressed members")
        return self._begin(data)


def _stage(encoding: str, what: str) -> _Stage:
    if encoding in ("gzip", "x-gzip"):
        return _Stage(lambda _: zlib.decompressobj(31), what)
    if encoding == "deflate":
        return _Stage(_deflate, what)
    if encoding == "zstd" and _HAS_ZSTD:
        return _Stage(lambda _: _ZstdFrame(), what, _ZSTD_SLICE)
    raise BadBody(f"{what} has the content encoding {encoding[:20]!r}; known are {ACCEPT_ENCODING}")


class Decoder:
    """Decodes the content encodings of one body.

    Args:
        content_encoding: the header's value, or the name of one encoding; empty for none.
        limits: limits of the received and the expanded bytes.
        what: the subject of error messages, for instance "the answer of https://example.org".

    Raises:
        BadBody: an encoding is not supported, or there are more than two.
    """

    def __init__(self, content_encoding: str, limits: Limits, what: str = "the body") -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        encodings = [name for name in names if name not in ("", "identity")]
        if len(encodings) > MAX_ENCODINGS:
            raise BadBody(f"{what} stacks more than {MAX_ENCODINGS} content encodings")
        self._stages = [_stage(name, what) for name in reversed(encodings)]
        self._limits = limits
        self._what = what
        self.received = 0
        self.expanded = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode received bytes in pieces of limited size.

        Exhaust the iterator before the next call.

        Raises:
            TooLarge: a limit is exceeded.
            BadBody: the data is not in its encoding.
        """
        self.received += len(data)
        if self.received > self._limits.max_bytes:
            raise TooLarge(f"{self._what} is larger than {self._limits.max_bytes:,} bytes")
        pieces: Iterable[bytes] = (data,) if data else ()
        for stage in self._stages:
            pieces = self._through(stage, pieces)
        try:
            for piece in pieces:
                self.expanded += len(piece)
                self._check(self.expanded)
                yield piece
        except zlib.error:
            raise BadBody(
                f"{self._what} is damaged: its data is not in its content encoding"
            ) from None

    def finish(self) -> None:
        """Check that the data is complete.

        Raises:
            Unreachable: the compressed data breaks off, as after a lost connection.
        """
        if not all(stage.complete for stage in self._stages):
            raise Unreachable(f"{self._what} breaks off before its end")

    def _through(self, stage: _Stage, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for decoded in stage.feed(piece):
                self._check(stage.expanded)
                yield decoded

    def _check(self, expanded: int) -> None:
        if expanded > self._limits.max_expanded:
            raise TooLarge(f"{self._what} expands to more than {self._limits.max_expanded:,} bytes")
        if expanded > RATIO_GRACE and expanded > self._limits.ratio * self.received:
            raise TooLarge(f"{self._what} expands to more than {self._limits.ratio} times its size")

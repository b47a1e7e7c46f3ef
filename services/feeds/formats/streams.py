"""From a stream of bytes to lines or to one document; other kinds of data are refused by name."""

import codecs
import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from services.feeds.formats.base import BATCH_SIZE, MalformedDocument
from services.feeds.formats.legacy_encodings import encoding_note, guess_legacy_encoding

HEAD = 65536
"""Bytes that decide whether a document can be read at all."""

MAX_LINE = 65536
"""Bytes of a line that are read. A longer line is cut: no observable is that long."""

MAX_DOCUMENT = 512 * 1024 * 1024
"""Bytes of a document that has to be decoded as a whole."""

_BOM = b"\xef\xbb\xbf"
_MAGIC_NUMBERS = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "an image"),
)
_HTML = re.compile(
    rb"\s*+(?:<!--(?>.{0,2000}?-->)\s*+)?<(?:!doctype\s++html|html|head|body|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_MAX_NULS = 8
_PRINTED = bytes((*b"\t\r\n", *range(0x20, 0x7F)))
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_LONE_RETURN = re.compile(rb"\r(?!\r?\n)")
"""A carriage return that ends a line by itself; one before CR LF is only doubled."""

_TITLE = re.compile(rb"<title[^>]{0,200}>\s*([^<]{1,80})", re.IGNORECASE)


def refuse_foreign(head: bytes) -> None:
    """Refuse data that is certainly no text of a feed, by its first bytes.

    Raises:
        MalformedDocument: it is compressed, binary, or an HTML page (named by its title).
    """
    for magic, name in _MAGIC_NUMBERS:
        if head.startswith(magic):
            raise MalformedDocument(f"this is {name}, not text", "byte 0")
    head = text_head(head)
    if _HTML.match(head):
        raise MalformedDocument(f"this is an HTML page{_quoted_title(head)}, not a feed", "line 1")
    # A few of them are a fault of their own rows.
    if head.count(b"\x00") > max(_MAX_NULS, len(head) // 1000):
        at = head.index(b"\x00")
        line = head.count(b"\n", 0, at) + 1
        raise MalformedDocument(
            f"a NUL byte at byte {at}: this is binary data, not text", f"line {line}"
        )


def guess_encoding(head: bytes) -> str:
    """The encoding of a text by its first bytes: UTF-16, UTF-32, or else UTF-8.

    What is neither may be in an encoding that `legacy_encodings` knows. In all others characters
    beyond ASCII become U+FFFD, which no observable may hold.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    # Text of the Latin script in UTF-16 has a NUL in each pair of bytes.
    first = head[: len(head) // 2 * 2 : 2]
    second = head[1 : len(head) // 2 * 2 : 2]
    if len(first) >= 4 and second.count(0) > len(first) * 0.7 and _is_readable(first):
        return "utf-16-le"
    if len(first) >= 4 and first.count(0) > len(first) * 0.7 and _is_readable(second):
        return "utf-16-be"
    return "utf-8"


def _is_readable(letters: bytes) -> bool:
    """Whether nearly all of some bytes are those of printed ASCII or line ends."""
    printed = len(letters) - len(letters.translate(None, _PRINTED))
    return printed > len(letters) * 0.9


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


class _Transcoder:
    """Turns the bytes of a text into UTF-8 whose lines end with a line feed.

    Args:
        head: the text's first bytes.
        notes: receives what a reader should know about the encoding.
    """

    def __init__(self, head: bytes, notes: list[str]) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        encoding = guess_encoding(head)
        if encoding == "utf-8" and not _is_utf8(head):
            legacy = guess_legacy_encoding(head)
            encoding = legacy or encoding
            lost = "the text is not UTF-8: some of its characters are lost"
            notes.append(encoding_note(legacy) if legacy else lost)
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
            head = codecs.getincrementaldecoder(encoding)("replace").decode(head).encode()
        self._notes = notes
        self._has_old_ends = False
        self._returns = b""

    def convert(self, chunk: bytes, *, is_last: bool = False) -> bytes:
        """The next bytes of the text; at its end those that were left incomplete."""
        if self._decoder is not None:
            chunk = self._decoder.decode(chunk, is_last).encode("utf-8", "replace")
        if not self._returns and chunk.count(b"\r") == chunk.count(b"\r\n"):
            return chunk
        chunk = self._returns + chunk
        self._returns = b""
        if not is_last:
            # What follows these tells whether they end a line by themselves.
            end = next(end for end in (2, 1, 0) if chunk.endswith(b"\r" * end))
            self._returns = chunk[len(chunk) - end :]
            chunk = chunk[: len(chunk) - end]
        # Old systems end lines with a carriage return alone.
        converted, count = _LONE_RETURN.subn(b"\n", chunk)
        if count and not self._has_old_ends:
            self._has_old_ends = True
            some = "some of " if b"\n" in chunk else ""
            self._notes.append(f"{some}its lines end with a carriage return alone")
        return converted


def text_head(head: bytes) -> bytes:
    """The first bytes of a text as UTF-8, without its byte order mark."""
    return _Transcoder(head, []).convert(head).removeprefix(_BOM)


def with_legacy_letters(document: bytes, notes: list[str]) -> bytes:
    """A whole document in UTF-8, if its first bytes tell that it is in a legacy encoding.

    Args:
        document: in UTF-8 or a legacy encoding.
        notes: receives what a reader should know about the encoding.
    """
    head = document[:HEAD]
    if head.isascii() or _is_utf8(head):
        return document
    codec = guess_legacy_encoding(head)
    if codec is None:
        return document
    notes.append(encoding_note(codec))
    return document.decode(codec, "replace").encode()


def in_utf8(document: bytes) -> bytes:
    """A whole document in UTF-8, if it is in UTF-16 or UTF-32; else as it is."""
    encoding = guess_encoding(document[:HEAD])
    if encoding == "utf-8":
        return document
    return document.decode(encoding, "replace").encode("utf-8", "replace")


def _quoted_title(head: bytes) -> str:
    title = _TITLE.search(head)
    if title is None:
        return ""
    words = title[1].decode("utf-8", "replace").split()
    return f' titled "{" ".join(words)}"'


def numbered_lines(
    stream: BinaryIO, notes: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text in blocks: the number of the first line, and at most 1,000 lines.

    Lines come without their ends; `notes` receives what is to be told of the encoding. Bytes that
    are no UTF-8 become U+FFFD, which no observable may hold, so that only their own line is lost.

    Raises:
        MalformedDocument: the first 64 KiB are no text.
    """
    number = 1
    for chunk in whole_lines(stream, notes):
        lines = chunk.decode("utf-8", "replace").split("\n")
        for at in range(0, len(lines), BATCH_SIZE):
            yield number + at, lines[at : at + BATCH_SIZE]
        number += len(lines)


def whole_lines(stream: BinaryIO, notes: list[str] | None = None) -> Iterator[bytes]:
    """The stream in pieces of UTF-8 that end with a line, without its line end.

    A line over `MAX_LINE` is cut before the value that reaches over it, however the stream is read,
    and the rest of the line is passed over.

    Args:
        stream: a text in UTF-8, UTF-16 or UTF-32.
        notes: receives what a reader should know about its encoding.

    Raises:
        MalformedDocument: the first 64 KiB are no text.
    """
    lines = _LineCutter()
    block: bytes | None = None
    for piece in _pieces(stream, [] if notes is None else notes):
        if (next_block := lines.add(piece)) is None:
            continue
        if block is not None:
            yield block
        block = next_block
    # The last line may lack its end; it belongs to the last block, by which formats are guessed.
    last = lines.end()
    ends = [text for text in (block, last) if text is not None]
    if ends:
        yield b"\n".join(ends)
    if lines.passed_over and notes is not None:
        notes.append(
            f"lines are cut at {MAX_LINE:,} bytes: {lines.passed_over:,} bytes are not read"
        )


def _pieces(stream: BinaryIO, notes: list[str]) -> Iterator[bytes]:
    """The stream in UTF-8, in pieces of at most `MAX_LINE` bytes.

    Raises:
        MalformedDocument: the first 64 KiB are no text.
    """
    read = _read_head(stream)
    refuse_foreign(read)
    transcoder = _Transcoder(read, notes)
    chunk = transcoder.convert(read).removeprefix(_BOM)
    while read:
        read = stream.read(HEAD)
        following = transcoder.convert(read, is_last=not read)
        if not read:
            chunk += following  # what was left incomplete belongs to the last piece
        for at in range(0, len(chunk), MAX_LINE):
            yield chunk[at : at + MAX_LINE]
        chunk = following


class _LineCutter:
    """Joins the lines that reach over several pieces of a text, and cuts those that are too long.

    Attributes:
        passed_over: bytes of long lines that are not read.
    """

    def __init__(self) -> None:
        self.passed_over = 0
        self._begun = b""
        self._size = 0

    def add(self, piece: bytes) -> bytes | None:
        """The lines that end in the next piece, of at most `MAX_LINE` bytes; None if none does."""
        newline = piece.find(b"\n")
        if newline < 0:
            self._size += len(piece)
            if len(self._begun) < MAX_LINE:
                self._begun = (self._begun + piece)[:MAX_LINE]
            return None
        self._size += newline
        first = self._cut(self._begun + piece[:newline])
        whole, _, self._begun = piece[newline:].rpartition(b"\n")
        self._size = len(self._begun)
        return first + whole

    def end(self) -> bytes | None:
        """The last line, if no line end stands behind it."""
        return self._cut(self._begun) if self._size else None

    def _cut(self, line: bytes) -> bytes:
        """A line, or of one that is too long the whole values at its beginning."""
        if self._size <= MAX_LINE:
            return line
        beginning = line[:MAX_LINE]
        at = _last_mark(beginning)
        address = beginning.rfind(b"://", 0, at)
        # Commas and such may belong to a URL.
        if address >= 0 and not beginning[address:at].split(None, 1)[1:]:
            at = _last_mark(beginning[:address])
        beginning = beginning[: at + 1] if at >= 0 else beginning
        if beginning.count(b'"') % 2:
            beginning = beginning[: beginning.rindex(b'"')]
        self.passed_over += self._size - len(beginning)
        return beginning


def _last_mark(line: bytes) -> int:
    """The place of the last mark that stands between values; -1 if there is none."""
    return max(map(line.rfind, (b" ", b"\t", b",", b";", b"|")))


def _read_head(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < HEAD and (piece := stream.read(HEAD - len(head))):
        head += piece
    return head


def read_text_document(stream: BinaryIO) -> bytes:
    """All of a text document, such as JSON, without its byte order mark.

    Raises:
        MalformedDocument: it is empty, larger than `MAX_DOCUMENT`, or no text.
    """
    head = _read_head(stream)
    refuse_foreign(head)
    parts = [head]
    size = len(head)
    while piece := stream.read(1 << 20):
        size += len(piece)
        if size > MAX_DOCUMENT:
            raise MalformedDocument(f"larger than {MAX_DOCUMENT} bytes")
        parts.append(piece)
    data = in_utf8(b"".join(parts)).removeprefix(_BOM)
    if not data.strip():
        raise MalformedDocument("the document is empty")
    return data


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector, which would visit all objects of a document repeatedly."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def decode_json(data: bytes, kind: Any) -> Any:
    """`data` as `kind`.

    Raises:
        MalformedDocument: it is no JSON, cut off, or of another shape. The place is a line and
            column, or a JSON path.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as problem:
        message, _, path = str(problem).partition(" - at ")
        raise MalformedDocument(message, path.strip("`") or "document") from None
    except msgspec.DecodeError as problem:
        raise _json_problem(data, str(problem)) from None
    except UnicodeDecodeError as problem:
        raise MalformedDocument(f"the text is not UTF-8: {problem.reason}") from None
    except RecursionError:
        raise MalformedDocument("nested too deeply") from None


def json_lines(data: bytes) -> list[bytes]:
    """The lines of JSON Lines that hold an object or list; empty if this is one JSON document.

    A document is JSON Lines if it has several lines, and the first by itself is a whole value.
    """
    text = data.strip()
    end = text.find(b"\n")  # a document may be one line, which need not be copied
    first = text[:end].rstrip() if end > 0 else b""
    if first[-1:] not in (b"}", b"]"):
        return []
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [line for line in map(bytes.strip, data.split(b"\n")) if line]


def _json_problem(data: bytes, message: str) -> MalformedDocument:
    """The error for what msgspec reports; it names a byte unless the document ends too early."""
    offset = re.search(r" ?\(byte (\d+)\)", message)
    if offset is None:
        return MalformedDocument("the JSON is cut off here", position(data, len(data)))
    return MalformedDocument(message.replace(offset[0], ""), position(data, int(offset[1])))


def position(data: bytes, at: int) -> str:
    """A place in a document, such as "line 3, column 7 (byte 120)"."""
    line = data.count(b"\n", 0, at) + 1
    start = data.rfind(b"\n", 0, at)
    return f"line {line}, column {at - start} (byte {at})"

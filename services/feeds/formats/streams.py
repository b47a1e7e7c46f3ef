"""From a stream of bytes to lines or to one JSON document, with a clear word for everything that is neither."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from services.feeds.formats.base import BATCH, MalformedDocument

HEAD = 65536
"""Bytes looked at before anything is taken from a document."""

MAX_LINE = 65536
"""Bytes kept of one line; a longer one is cut, and no observable is that long."""

MAX_DOCUMENT = 512 * 1024 * 1024
"""Bytes of a document that has to be decoded as a whole."""

_BOM = b"\xef\xbb\xbf"
_FOREIGN = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "an image"),
)
_UTF16 = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\x00\x00\xfe\xff", "UTF-32"))
_HTML = re.compile(
    rb"\s*(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html|head|body|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(rb"<title[^>]{0,200}>\s*([^<]{1,80})", re.IGNORECASE)


def refuse_foreign(head: bytes) -> None:
    """Says no to what is certainly no text, by the first bytes of a document.

    Raises:
        MalformedDocument: an HTML page (named by its title), compressed or binary data, UTF-16.
    """
    for magic, name in _UTF16:
        if head.startswith(magic):
            raise MalformedDocument(f"the text is {name}, UTF-8 is expected", "byte 0")
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            raise MalformedDocument(f"this is {name}, not text", "byte 0")
    if _HTML.match(head.removeprefix(_BOM)):
        title = _TITLE.search(head)
        named = (
            f' titled "{" ".join(title[1].decode("utf-8", "replace").split())}"' if title else ""
        )
        raise MalformedDocument(f"this is an HTML page{named}, not a feed", "line 1")
    if (at := head.find(b"\x00")) >= 0:
        line = head.count(b"\n", 0, at) + 1
        raise MalformedDocument(
            f"a NUL byte at byte {at}: this is binary data, not text", f"line {line}"
        )


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text in blocks: the number of the first, and at most 1,000 of them, without line ends.

    Bytes that are no UTF-8 become U+FFFD, which no observable may hold, so that only their own line suffers.

    Raises:
        MalformedDocument: by its first 64 KiB it is no text.
    """
    number = 1
    for chunk in whole_lines(stream):
        lines = chunk.decode("utf-8", "replace").split("\n")
        for at in range(0, len(lines), BATCH):
            yield number + at, lines[at : at + BATCH]
        number += len(lines)


def whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in pieces that end at line ends (without the last one); lines over `MAX_LINE` are cut."""
    chunk = _read_head(stream)
    refuse_foreign(chunk)
    chunk = chunk.removeprefix(_BOM)
    rest = b""
    while chunk:
        whole, end, tail = chunk.rpartition(b"\n")
        if end:
            if len(rest) == MAX_LINE:  # the rest of a line that was cut
                whole = whole[chunk.index(b"\n") :]
            yield rest + whole
            rest = tail
        else:
            rest = (rest + chunk)[:MAX_LINE]
        chunk = stream.read(HEAD)
    if rest:
        yield rest


def _read_head(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < HEAD and (piece := stream.read(HEAD - len(head))):
        head += piece
    return head


def document(stream: BinaryIO) -> bytes:
    """A whole document that must be JSON.

    Raises:
        MalformedDocument: empty, too large, or by its first bytes no JSON.
    """
    head = _read_head(stream)
    refuse_foreign(head)
    parts, size = [head], len(head)
    while piece := stream.read(1 << 20):
        size += len(piece)
        if size > MAX_DOCUMENT:
            raise MalformedDocument(f"larger than {MAX_DOCUMENT} bytes")
        parts.append(piece)
    whole = b"".join(parts).removeprefix(_BOM)
    if not whole.strip():
        raise MalformedDocument("the document is empty")
    return whole


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cyclic garbage collector, which would look at all objects of a document again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def decode_json(data: bytes, kind: Any) -> Any:
    """`data` as `kind`.

    Raises:
        MalformedDocument: no JSON, cut off, or not of that shape; the place is a line and column, or a JSON path.
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


def _json_problem(data: bytes, message: str) -> MalformedDocument:
    found = re.search(r" ?\(byte (\d+)\)", message)
    if found is None:
        return MalformedDocument("the JSON is cut off here", position(data, len(data)))
    return MalformedDocument(message.replace(found[0], ""), position(data, int(found[1])))


def position(data: bytes, at: int) -> str:
    """A place in a document, such as "line 3, column 7 (byte 120)"."""
    line, start = data.count(b"\n", 0, at) + 1, data.rfind(b"\n", 0, at)
    return f"line {line}, column {at - start} (byte {at})"

"""Extracts the text of PDF documents, page by page."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD

from shared.errors import InvalidInput

MAX_PAGES = 2000
MAX_TEXT = 20_000_000
"""Characters of all pages; a small file can expand to any amount of text."""

# PDFium has state of the whole process: one thread at a time may call it.
_PDFIUM = threading.Lock()
_LONGEST_URL = 4096
_LENGTHS = frozenset({32, 40, 64, 128})
_HEX_LINES = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8,127}+(?:\n[0-9A-Fa-f]{1,127}+(?![0-9A-Za-z.:])){1,7}+"
)
_DATE = re.compile(
    r"(?:D:)?([0-9]{4})([0-9]{2})?([0-9]{2})?([0-9]{2})?([0-9]{2})?([0-9]{2})?"
    r"(?:([-+Z])([0-9]{2})?'?([0-9]{2})?)?",
    re.ASCII,
)
_URL_AT_END = re.compile(r"(?:h\w\wps?|s?f[tx]p)(?::|[\[({]:)[^\s<>\"']{8,}+$", re.IGNORECASE)
_GOES_ON = re.compile(r"(?!\w{3,6}(?::|[\[({]:)|\d+\.\d)[^\s<>\"']+")


class PdfPage(NamedTuple):
    """A page.

    Attributes:
        number: from 1.
        text: with hashes and URLs joined that line breaks divide; None if the page is unreadable.
        problem: why it is unreadable.
    """

    number: int
    text: str | None
    problem: str = ""


def newest_date(content: bytes) -> str | None:
    """When a document says that it was made or changed last, RFC 3339; None if it does not.

    Raises:
        InvalidInput: see `pages`.
    """
    with _PDFIUM:
        document = _open(content)
        try:
            stated = [document.get_metadata_value(name) for name in ("CreationDate", "ModDate")]
        finally:
            document.close()
    return max((date for text in stated if (date := _read_date(text))), default=None)


def _read_date(text: str) -> str | None:
    """A date of PDF (ISO 32000 §7.9.4) to the second; None if it is none."""
    match = _DATE.match(text)
    if match is None:
        return None
    sign = -1 if match[7] == "-" else 1
    offset = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0)) * sign
    try:
        hour, minute, second = map(int, match.groups(default="0")[3:6])
        year, month, day = map(int, match.groups(default="1")[:3])
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return (local - offset).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None


def pages(content: bytes, notes: list[str]) -> Iterator[PdfPage]:
    """Read the pages of a document.

    Args:
        content: the document.
        notes: receives, after the last page, what was left out: pages without text, or beyond the
            limits.

    Raises:
        InvalidInput: it is damaged, encrypted, or no PDF.
    """
    with _PDFIUM:
        document = _open(content)
        count = len(document)
    try:
        size = empty = 0
        for at in range(min(count, MAX_PAGES)):
            try:
                with _PDFIUM:
                    text = _text(document, at, MAX_TEXT - size)
            except pypdfium2.PdfiumError as problem:
                yield PdfPage(at + 1, None, str(problem))
                continue
            if text is None:
                notes.append(
                    f"read up to page {at}: more than {MAX_TEXT:,} characters are not taken"
                )
                break
            size += len(text)
            empty += not text.strip()
            yield PdfPage(at + 1, rejoin(text))
    finally:
        with _PDFIUM:
            document.close()
    if count > MAX_PAGES:
        notes.append(f"read up to page {MAX_PAGES} of {count}")
    if empty:
        notes.append(f"{empty} of {count} pages hold no text; scanned pages are not read")


def _open(content: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as problem:
        if getattr(problem, "err_code", None) == FPDF_ERR_PASSWORD:
            raise InvalidInput("the PDF is encrypted and opens with its password only") from None
        raise InvalidInput("this is no PDF, or a broken one") from None


def _text(document: pypdfium2.PdfDocument, index: int, limit: int) -> str | None:
    """Return a page's text; None if it has more than `limit` characters."""
    page = document[index]
    try:
        # PDFium allocates memory for the text here, whatever its length.
        textpage = page.get_textpage()
        try:
            return str(textpage.get_text_range()) if textpage.count_chars() <= limit else None
        finally:
            textpage.close()
    finally:
        page.close()


def rejoin(text: str) -> str:
    """Join the hashes and URLs that line breaks divide.

    PDFium marks a hyphen at a line's end with U+FFFE or U+0002.
    """
    text = re.sub("[\ufffe\u0002]\r?\n?", "-", text).replace("\r\n", "\n").replace("\r", "\n")
    return _join_urls(_HEX_LINES.sub(_join_hashes, text))


def _join_hashes(match: re.Match[str]) -> str:
    """Join lines of digits that are a hash only together; a list of hashes stays a list."""
    lines: list[str] = []
    rest = match[0].split("\n")
    while rest:
        line = rest[0]
        count = 1
        if len(line) not in _LENGTHS:
            for stop in range(2, len(rest) + 1):
                joined = "".join(rest[:stop])
                if len(joined) in _LENGTHS:
                    line = joined
                    count = stop
                    break
        lines.append(line)
        del rest[:count]
    return "\n".join(lines)


def _join_urls(text: str) -> str:
    """Join a full line that ends within a URL with the next one, if that continues it."""
    lines = text.split("\n")
    full_length = 0.75 * max(map(len, lines))
    joined: list[str] = []
    for line in lines:
        before = joined[-1] if joined else ""
        last = before.rpartition("\n")[2]
        if full_length <= len(last) <= _LONGEST_URL and last and _continues(last, line):
            joined[-1] = before + line
        else:
            joined.append(line)
    return "\n".join(joined)


def _continues(line: str, after: str) -> bool:
    if not _URL_AT_END.search(line):
        return False
    rest = _GOES_ON.match(after)
    return rest is not None and (
        line[-1] in "/-_=&?%." or any(mark in rest[0] for mark in "/=&?%_")
    )

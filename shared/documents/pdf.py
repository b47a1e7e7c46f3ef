"""The text of PDF documents, page by page."""

import re
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD

from shared.errors import InvalidInput

MAX_PAGES = 2000
MAX_TEXT = 20_000_000
"""Characters of all pages; a small file can unpack to any amount of text."""

# PDFium keeps state for the whole process and may be entered by one thread at a time.
_PDFIUM = threading.Lock()
_LONGEST_URL = 4096
_LENGTHS = frozenset({32, 40, 64, 128})
_HEX_LINES = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8,127}+(?:\n[0-9A-Fa-f]{1,127}+(?![0-9A-Za-z.:])){1,7}+"
)
_URL_AT_END = re.compile(r"(?:h\w\wps?|s?f[tx]p)(?::|[\[({]:)[^\s<>\"']{8,}+$", re.IGNORECASE)
_GOES_ON = re.compile(r"(?!\w{3,6}(?::|[\[({]:)|\d+\.\d)[^\s<>\"']+")


class PdfPage(NamedTuple):
    """A page.

    Attributes:
        number: from 1.
        text: hashes and URLs that its lines break are put together again; None when it cannot be read.
        problem: why it cannot be read.
    """

    number: int
    text: str | None
    problem: str = ""


def pages(content: bytes, notes: list[str]) -> Iterator[PdfPage]:
    """The pages of a document.

    Args:
        content: the document.
        notes: takes, behind the last page, what was left out: pages without text, or beyond the limits.

    Raises:
        InvalidInput: it is broken, encrypted, or no PDF.
    """
    with _PDFIUM:
        book = _opened(content)
        count = len(book)
    try:
        size = empty = 0
        for at in range(min(count, MAX_PAGES)):
            try:
                with _PDFIUM:
                    text = _text(book, at, MAX_TEXT - size)
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
            yield PdfPage(at + 1, rejoined(text))
    finally:
        with _PDFIUM:
            book.close()
    if count > MAX_PAGES:
        notes.append(f"read up to page {MAX_PAGES} of {count}")
    if empty:
        notes.append(f"{empty} of {count} pages hold no text; scanned pages are not read")


def _opened(content: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as problem:
        if getattr(problem, "err_code", None) == FPDF_ERR_PASSWORD:
            raise InvalidInput("the PDF is encrypted and opens with its password only") from None
        raise InvalidInput("this is no PDF, or a broken one") from None


def _text(book: pypdfium2.PdfDocument, at: int, most: int) -> str | None:
    """A page's text; None when it has more than `most` characters. PDFium itself has taken memory for them by then."""
    page = book[at]
    try:
        words = page.get_textpage()
        try:
            return str(words.get_text_range()) if words.count_chars() <= most else None
        finally:
            words.close()
    finally:
        page.close()


def rejoined(text: str) -> str:
    """A page's text with the hashes and URLs whole that its lines break.

    PDFium marks a hyphen at a line's end with U+FFFE or U+0002.
    """
    text = re.sub("[\ufffe\u0002]\r?\n?", "-", text).replace("\r\n", "\n").replace("\r", "\n")
    return _urls(_HEX_LINES.sub(_hashes, text))


def _hashes(match: re.Match[str]) -> str:
    """Lines of digits, put together where only together they are a hash: a list of hashes stays a list."""
    lines: list[str] = []
    rest = match[0].split("\n")
    while rest:
        piece, taken = rest[0], 1
        if len(piece) not in _LENGTHS:
            for upto in range(2, len(rest) + 1):
                if len(joined := "".join(rest[:upto])) in _LENGTHS:
                    piece, taken = joined, upto
                    break
        lines.append(piece)
        del rest[:taken]
    return "\n".join(lines)


def _urls(text: str) -> str:
    """URLs, put together where a line is full, ends within one, and the next goes on like one."""
    lines = text.split("\n")
    full = 0.75 * max(map(len, lines))
    joined: list[str] = []
    for line in lines:
        before = joined[-1] if joined else ""
        last = before.rpartition("\n")[2]
        if full <= len(last) <= _LONGEST_URL and last and _goes_on(last, line):
            joined[-1] = before + line
        else:
            joined.append(line)
    return "\n".join(joined)


def _goes_on(line: str, after: str) -> bool:
    if not _URL_AT_END.search(line):
        return False
    rest = _GOES_ON.match(after)
    return rest is not None and (
        line[-1] in "/-_=&?%." or any(mark in rest[0] for mark in "/=&?%_")
    )

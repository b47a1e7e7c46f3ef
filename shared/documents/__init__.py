"""Extracts plain text from the formats of reports: text, Markdown, HTML, PDF.

PDFium is imported when the first PDF is read: most processes never read one.
"""

import codecs
import re

import msgspec

from shared.documents import html
from shared.errors import InvalidInput

MEDIA_TYPES = (
    "text/plain",
    "text/markdown",
    "text/html",
    "application/xhtml+xml",
    "application/pdf",
)
"""The media types that `read` accepts."""

_HTML_TYPES = MEDIA_TYPES[2:4]
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_:.+-]{1,40})\"?\s*(?:;|$)", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"
_OTHER_FORMATS = (
    (b"%PDF-", "a PDF document"),
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


class Document(msgspec.Struct, frozen=True):
    """A document as text.

    Attributes:
        text: the visible text. Of text and Markdown it is all, each character at its place, without
            a byte order mark.
        pages: of a PDF, the index in `text` where each page begins; an unreadable page is empty.
        notes: what was left out, in sentences for people.
    """

    text: str
    pages: list[int] | None = None
    notes: tuple[str, ...] = ()


def read(content: bytes, media_type: str) -> Document:
    """Extract the text of a document.

    Args:
        content: the document's bytes.
        media_type: as in a `Content-Type` header, with or without parameters. Text and Markdown
            must be UTF-8; the encoding of HTML is what the byte order mark, the parameter or the
            page names, in that order.

    Raises:
        InvalidInput: the media type is not one of `MEDIA_TYPES`, or the content is of another; the
            message names the place of bytes that are not UTF-8.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in MEDIA_TYPES:
        named = repr(kind[:80]) if kind else "no media type"
        listed = ", ".join(MEDIA_TYPES)
        raise InvalidInput(f"{named}: understood are {listed}", field="content-type")
    if kind == "application/pdf":
        return _read_pdf(content)
    _refuse_other_formats(content)
    charset = _CHARSET.search(media_type[:1000])
    if kind in _HTML_TYPES:
        notes: list[str] = []
        encoding = charset[1] if charset else None
        is_xml = kind == "application/xhtml+xml"
        return Document(html.text(content, encoding, notes, xml=is_xml), notes=tuple(notes))
    if charset:
        _require_utf8(charset[1])
    return Document(_decode(content))


def _read_pdf(content: bytes) -> Document:
    from shared.documents import pdf  # noqa: PLC0415  # heavy, see above

    texts: list[str] = []
    starts: list[int] = []
    notes: list[str] = []
    end = 0
    for page in pdf.pages(content, notes):
        starts.append(end)
        texts.append(page.text or "")
        end += len(texts[-1]) + 1
        if page.problem:
            notes.append(f"page {page.number} is unreadable: {page.problem}")
    return Document("\n".join(texts), starts, tuple(notes))


def _require_utf8(charset: str) -> None:
    try:
        is_utf8 = codecs.lookup(charset).name in ("utf-8", "ascii")
    except LookupError:
        is_utf8 = False
    if not is_utf8:
        raise InvalidInput(f"charset {charset}: text is read as UTF-8 only", field="content-type")


def _refuse_other_formats(content: bytes) -> None:
    for magic, name in _OTHER_FORMATS:
        if content.startswith(magic):
            raise InvalidInput(f"the document is {name}, not text", where="byte 0")
    if (at := content.find(b"\0")) >= 0:
        raise InvalidInput(
            f"a NUL byte at byte {at}: this is binary data, not text", where=f"byte {at}"
        )


def _decode(content: bytes) -> str:
    plain = content.removeprefix(_BOM)
    try:
        return plain.decode()
    except UnicodeDecodeError as problem:
        at = problem.start + len(content) - len(plain)
        byte = f"0x{plain[problem.start]:02x}"
        raise InvalidInput(
            f"the text is not UTF-8: {byte} at byte {at} ({problem.reason})", where=f"byte {at}"
        ) from None

"""Plain text out of what reports come as: text, Markdown, HTML, PDF.

PDFium is imported when the first PDF is read: most processes never read any.
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
"""What `read` understands."""

_TEXTS, _PAGES = MEDIA_TYPES[:2], MEDIA_TYPES[2:4]
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_:.+-]{1,40})\"?\s*(?:;|$)", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"
_FOREIGN = (
    (b"%PDF-", "a PDF document"),
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


class Document(msgspec.Struct, frozen=True):
    """A document as text.

    Attributes:
        text: what a reader sees; all of it for text and Markdown, where every character stays at its place (but a byte
            order mark).
        pages: of a PDF, where in `text` each page starts; a page that could not be read has no characters.
        notes: what was left out, in sentences for people.
    """

    text: str
    pages: list[int] | None = None
    notes: tuple[str, ...] = ()


def read(content: bytes, media_type: str) -> Document:
    """The text of a document.

    Args:
        content: the document's bytes.
        media_type: as in a `Content-Type` header, with or without parameters. Text and Markdown have to be UTF-8; of
            HTML the encoding is what the byte order mark, the parameter or the page names, in that order.

    Raises:
        InvalidInput: the media type is none of `MEDIA_TYPES`, or the content is not what it says: bytes that are no
            UTF-8 are named with their place.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in MEDIA_TYPES:
        named = repr(kind[:80]) if kind else "no media type"
        raise InvalidInput(f"{named}: understood are {', '.join(MEDIA_TYPES)}", field="media_type")
    if kind == "application/pdf":
        return _book(content)
    _refuse_foreign(content)
    charset = _CHARSET.search(media_type[:1000])
    if kind in _PAGES:
        notes: list[str] = []
        shown = html.text(
            content, charset[1] if charset else None, notes, xml=kind == "application/xhtml+xml"
        )
        return Document(shown, notes=tuple(notes))
    if charset:
        _require_utf8(charset[1])
    return Document(_decoded(content))


def _book(content: bytes) -> Document:
    from shared.documents import pdf  # noqa: PLC0415 - heavy, see above

    pieces, starts, notes, at = [], [], list[str](), 0
    for page in pdf.pages(content, notes):
        starts.append(at)
        pieces.append(page.text or "")
        at += len(pieces[-1]) + 1
        if page.problem:
            notes.append(f"page {page.number} is unreadable: {page.problem}")
    return Document("\n".join(pieces), starts, tuple(notes))


def _require_utf8(charset: str) -> None:
    try:
        known = codecs.lookup(charset).name in ("utf-8", "ascii")
    except LookupError:
        known = False
    if not known:
        raise InvalidInput(f"charset {charset}: text is read as UTF-8 only", field="media_type")


def _refuse_foreign(content: bytes) -> None:
    for magic, name in _FOREIGN:
        if content.startswith(magic):
            raise InvalidInput(f"the document is {name}, not text", where="byte 0")
    if (at := content.find(b"\0")) >= 0:
        raise InvalidInput(
            f"a NUL byte at byte {at}: this is binary data, not text", where=f"byte {at}"
        )


def _decoded(content: bytes) -> str:
    plain = content.removeprefix(_BOM)
    try:
        return plain.decode()
    except UnicodeDecodeError as problem:
        at = problem.start + len(content) - len(plain)
        byte = f"0x{plain[problem.start]:02x}"
        raise InvalidInput(
            f"the text is not UTF-8: {byte} at byte {at} ({problem.reason})", where=f"byte {at}"
        ) from None

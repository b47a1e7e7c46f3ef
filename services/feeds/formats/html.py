"""Web pages: the text that a reader sees, without what surrounds the article."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from services.feeds.formats.base import (
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    excerpt,
    read_options,
)
from services.feeds.formats.prose import (
    ProseOptions,
    ProseReader,
    host_of,
    read_binary_document,
)
from services.feeds.formats.streams import HEAD, refuse_foreign
from shared.documents.html import AROUND, BLOCKS, UNSEEN, decode_page
from shared.errors import InvalidInput

_BOM = b"\xef\xbb\xbf"
_BLOCKS = ",".join(BLOCKS)


class HtmlOptions(ProseOptions, forbid_unknown_fields=True):
    """Options of a page.

    Attributes:
        selector: CSS selector of the part that counts, such as `article` or `table.iocs`. Only
            scripts and styles of that part are left out.
    """

    selector: str | None = None


class HtmlFormat:
    """Pages as text, without scripts, navigation, headers, footers, forms and links' addresses.

    A page's own host (its canonical address) is no indicator. The words around each indicator
    become its description.
    """

    name: ClassVar[str] = "html"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("text/html", "application/xhtml+xml", ".html", ".htm")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also if nothing on the page matches the selector.
            InvalidInput: also if the selector is no CSS selector.
        """
        html_options = read_options(HtmlOptions, options)
        return batched(_items(stream, html_options, ProseReader(html_options.types)))


def _items(
    stream: BinaryIO, options: HtmlOptions, prose: ProseReader
) -> Iterator[ParsedIndicator | Note]:
    page = LexborHTMLParser(_decoded(read_binary_document(stream)))
    title = page.css_first("title")
    if title and (text := excerpt(" ".join(title.text().split()))):
        yield Note(f"page: {text}")
    own_hosts = _own_hosts(page)
    for text in _visible_texts(page, options.selector):
        yield from prose.indicators(text, own_hosts=own_hosts)
    yield from prose.notes()


def _decoded(data: bytes) -> str:
    head = data[:HEAD].removeprefix(_BOM)
    if not head.lstrip().startswith(b"<"):
        refuse_foreign(head)
    elif b"\x00" in head:
        raise MalformedDocument(
            f"a NUL byte at byte {head.index(0)}: this is binary data, not a page"
        )
    return decode_page(data)


def _own_hosts(page: LexborHTMLParser) -> frozenset[str]:
    links = [node.attributes.get("href") for node in page.css('link[rel="canonical"]')]
    links += [node.attributes.get("content") for node in page.css('meta[property="og:url"]')]
    return frozenset(host for link in links if (host := host_of(link)))


def _visible_texts(page: LexborHTMLParser, selector: str | None) -> list[str]:
    """The text of the page, or of each part that the selector matches."""
    if selector is None:
        page.strip_tags(UNSEEN + AROUND)
        return [visible_text(page.body)] if page.body else []
    try:
        nodes = page.css(selector)
    except SelectolaxError:
        raise InvalidInput(f"{selector!r} is no CSS selector", field="options.selector") from None
    if not nodes:
        raise MalformedDocument(f"nothing on the page matches the selector {selector!r}")
    page.strip_tags(UNSEEN)
    return [visible_text(node) for node in page.css(selector)]


def visible_text(node: LexborNode) -> str:
    """The text of a part of a page, with each block and cell on its own line."""
    for block in node.css(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    return node.text(deep=True, separator="")


def text_of_markup(markup: str) -> str:
    """The text of a piece of HTML; plain text comes back as it is."""
    if "<" not in markup and "&" not in markup:
        return markup
    piece = LexborHTMLParser(markup)
    piece.strip_tags(UNSEEN[:-1])
    return visible_text(piece.body) if piece.body else ""

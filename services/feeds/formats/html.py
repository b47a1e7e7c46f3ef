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
    cut,
    read_options,
)
from services.feeds.formats.report import Options as ProseOptions
from services.feeds.formats.report import Prose, host_of, whole
from services.feeds.formats.streams import HEAD, refuse_foreign
from shared.documents.html import AROUND, BLOCKS, UNSEEN, decode_page
from shared.errors import InvalidInput

_BOM = b"\xef\xbb\xbf"
_BLOCKS = ",".join(BLOCKS)


class Options(ProseOptions, forbid_unknown_fields=True):
    """Options of a page.

    Attributes:
        selector: CSS selector of the part that counts, such as `article` or `table.iocs`; of that part nothing is left
            out but scripts and styles.
    """

    selector: str | None = None


class HtmlFormat:
    """Pages, as text: neither scripts nor navigation, headers, footers and forms; addresses of links do not count.

    A page's own host (its canonical address) is not an indicator. Each record is described by the words around it.
    """

    name: ClassVar[str] = "html"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("text/html", "application/xhtml+xml", ".html", ".htm")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also when nothing on the page matches the selector.
            InvalidInput: also when the selector is none.
        """
        chosen = read_options(Options, options)
        return batched(_items(stream, chosen, Prose(chosen.types)))


def _items(stream: BinaryIO, options: Options, prose: Prose) -> Iterator[ParsedIndicator | Note]:
    page = LexborHTMLParser(_decoded(whole(stream)))
    if (title := page.css_first("title")) and (words := cut(" ".join(title.text().split()))):
        yield Note(f"page: {words}")
    own = _own_hosts(page)
    for part in _parts(page, options.selector):
        yield from prose.indicators(part, own=own)
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


def _parts(page: LexborHTMLParser, selector: str | None) -> list[str]:
    if selector is None:
        page.strip_tags(UNSEEN + AROUND)
        return [visible(page.body)] if page.body else []
    try:
        nodes = page.css(selector)
    except SelectolaxError:
        raise InvalidInput(f"{selector!r} is no CSS selector", field="options.selector") from None
    if not nodes:
        raise MalformedDocument(f"nothing on the page matches the selector {selector!r}")
    page.strip_tags(UNSEEN)
    return [visible(node) for node in page.css(selector)]


def visible(node: LexborNode) -> str:
    """The text of a part of a page, each block and cell on a line of its own."""
    for block in node.css(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    return node.text(deep=True, separator="")


def text_of(markup: str) -> str:
    """The text of a piece of HTML; plain text comes back as it is."""
    if "<" not in markup and "&" not in markup:
        return markup
    piece = LexborHTMLParser(markup)
    piece.strip_tags(UNSEEN[:-1])
    return visible(piece.body) if piece.body else ""

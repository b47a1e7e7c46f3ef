"""Web pages: the text that a reader sees, without what surrounds the article."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    excerpt,
    read_options,
)
from services.feeds.formats.page_tables import PageTable, read_table
from services.feeds.formats.prose import (
    LOST_LETTER,
    ProseOptions,
    ProseReader,
    host_of,
    read_binary_document,
)
from services.feeds.formats.streams import HEAD, in_utf8, refuse_foreign
from services.feeds.formats.unit_account import UnitAccount
from shared.documents import html
from shared.documents.html import BLOCKS, UNSEEN
from shared.documents.page_encoding import decode_page
from shared.errors import InvalidInput

_DATES = frozenset(
    {
        *("article:published_time", "article:modified_time", "og:updated_time", "date"),
        *("dc.date", "dc.date.issued", "dc.date.modified", "dcterms.created", "dcterms.modified"),
        *("datepublished", "datemodified", "last-modified", "pubdate"),
    }
)
"""Names by which pages state when they were written."""
_BOM = b"\xef\xbb\xbf"
_BLOCKS = ",".join(BLOCKS)


class HtmlOptions(ProseOptions, forbid_unknown_fields=True):
    """Options of a page.

    Attributes:
        selector: CSS selector of the part that counts, such as `article` or `table.iocs`. Only
            scripts and styles of that part are left out.
        tables: whether tables are read by their columns; if not, they are text. With a selector all
            is text.
        columns: the headers of the columns of tables that hold indicators; guessed if not set.
    """

    selector: str | None = None
    tables: bool = True
    columns: list[str] | None = None


class HtmlFormat:
    """Pages as text, without scripts, navigation, headers, footers, buttons and links' addresses.

    What a form shows counts, since whole pages stand in forms, and so does an article's header. A
    page's own host (its canonical address) is no indicator. The words around each indicator become
    its description. A note tells when most of a page was left out.
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
        return batched(_items(stream, html_options, ProseReader(html_options)))


def _items(
    stream: BinaryIO, options: HtmlOptions, prose: ProseReader
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    content = in_utf8(read_binary_document(stream))
    _refuse_other_kinds(content)
    # The tree of a hostile page takes quadratic time: a title and links need the beginning alone.
    head = LexborHTMLParser(decode_page(content[:HEAD]))
    title = head.css_first("title")
    if title and (words := excerpt(" ".join(title.text().split()))):
        yield Note(f"page: {words}")
    own_hosts = _own_hosts(head)
    date = _newest_date(head)
    notes: list[str] = []
    tables = 0
    for part in _parts(content, options, notes):
        if isinstance(part, PageTable):
            tables += 1
            yield Note(part.note(tables))
            yield from _table_items(part, prose, own_hosts)
            continue
        if LOST_LETTER in part and not notes:
            notes.append("some characters are lost: the page is not in the encoding that it names")
        yield from prose.indicators(part, own_hosts=own_hosts, last_seen=date)
    yield from map(Note, notes)
    yield from prose.end()


def _table_items(
    table: PageTable, prose: ProseReader, own_hosts: frozenset[str]
) -> Iterator[ParsedIndicator | DroppedItem]:
    """What the cells of a table name; in other columns than those of the values it is context."""
    for row in table.rows:
        context = table.context(row)
        for at, cell in enumerate(row):
            if at in table.values:
                yield from prose.indicators(cell, own_hosts=own_hosts, **context)
            else:
                prose.count_context(cell, "other column of a table")


def _refuse_other_kinds(content: bytes) -> None:
    head = content[:HEAD].removeprefix(_BOM)
    if not head.lstrip().startswith(b"<"):
        refuse_foreign(head)
    elif b"\x00" in head:
        raise MalformedDocument(
            f"a NUL byte at byte {head.index(0)}: this is binary data, not a page"
        )


def _own_hosts(page: LexborHTMLParser) -> frozenset[str]:
    links = [node.attributes.get("href") for node in page.css('link[rel="canonical"]')]
    links += [node.attributes.get("content") for node in page.css('meta[property="og:url"]')]
    return frozenset(host for link in links if (host := host_of(link)))


def _newest_date(page: LexborHTMLParser) -> str | None:
    """The newest date that the head of a page states of itself."""
    stated = [
        fields.timestamp(node.attributes.get("content"))
        for node in page.css("meta[content]")
        if str(node.attributes.get("property") or node.attributes.get("name")).lower() in _DATES
    ]
    return max((date for date in stated if date), default=None)


def _parts(content: bytes, options: HtmlOptions, notes: list[str]) -> list[str | PageTable]:
    """The texts and tables of the page, or the text of each part that the selector matches.

    Raises:
        AmbiguousDocument: nothing tells which columns of a table hold indicators.
    """
    selector = options.selector
    if selector is None and not options.tables:
        return [html.text(content, None, notes)]
    if selector is None:
        return [_part(part, options) for part in html.parts(content, None, notes)]
    return [*_selected_texts(content, selector)]


def _part(part: str | html.Table, options: HtmlOptions) -> str | PageTable:
    """A text, or a table whose columns tell what they hold; another table as a text of its own."""
    if isinstance(part, str):
        return part
    text = "".join(f"{cell.text}\n" for row in part for cell in row)
    return read_table(part, options.columns) or text


def _selected_texts(content: bytes, selector: str) -> list[str]:
    """The text of each part of a page that a selector matches."""
    page = LexborHTMLParser(decode_page(content))
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

"""Extracts the visible text of web pages, without what surrounds the article.

It builds no tree. The tree that HTML's rules require takes quadratic time for pages of nothing but
opening tags, and pages may be hostile. Tags are tokenised as browsers do; of the tree only those
elements are tracked that decide what is shown.

Why not selectolax (lexbor), measured with version 1.0.2 on nested `<div>x`: 60 kB take 0.32 s there
and 0.05 s here, 120 kB 1.2 s and 0.10 s, 600 kB more than 20 s and 0.50 s. Nested `<ul><li>x` of
180 kB take 6.9 s and 0.19 s. Where lexbor is linear (`<p><b>`, 600 kB) it is as fast (0.30 s and
0.36 s), but its tree takes 88 MiB. A test compares the texts of both.
"""

import html
import re
from collections import Counter
from typing import Final, NamedTuple

from shared.documents.page_encoding import decode_page

UNSEEN = ["script", "style", "template", "noscript", "iframe", "svg", "head"]
"""Elements whose text is not shown."""

AROUND = ["nav", "header", "footer", "form", "button", "select"]
"""Elements around a page's main content."""

BLOCKS = (
    "address", "article", "aside", "blockquote", "br", "caption", "center", "dd", "details", "div",
    "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "main",
    "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul",
)  # fmt: skip
"""Elements that end a line: `<td>evil.example</td><td>192.0.2.1</td>` are two words."""

_BREAKS: Final = frozenset(BLOCKS) | {"fieldset", "footer", "form", "header", "legend", "nav"}
# The whole page of some systems is one form. A header may belong to an article.
_HIDDEN: Final = frozenset(UNSEEN + AROUND) - {"form"}
_ARTICLES: Final = ("article", "main")
# Elements whose end tag closes all that was left open within; those of paragraphs, rows and bold
# text do not.
_CONTAINERS: Final = _HIDDEN | {
    "address", "article", "aside", "blockquote", "center", "details", "dl", "div", "fieldset",
    "figure", "main", "math", "ol", "section", "table", "td", "th", "ul",
}  # fmt: skip
# Elements of a head (the standard's "in head"). Any other tag, or text, ends it: `</head>` is
# optional.
_OF_HEAD: Final = frozenset((
    "base", "basefont", "bgsound", "head", "html", "link", "meta", "noframes", "noscript",
    "script", "style", "template", "title",
))  # fmt: skip
_ENDS_HEAD: Final = ("head", "body", "html", "br")
# Foreign elements: within them `/>` ends an element and scripts are markup, except within elements
# that contain HTML again.
_FOREIGN: Final = ("svg", "math")
_WITHIN_FOREIGN: Final = frozenset((*_FOREIGN, "script", "style"))
_HTML_AGAIN: Final = frozenset(("foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext"))
# Elements that are HTML everywhere: they end foreign elements that were left open.
_HTML_ALWAYS: Final = frozenset((
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em",
    "embed", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu",
    "meta", "nobr", "ol", "p", "pre", "ruby", "s", "small", "span", "strong", "strike", "sub",
    "sup", "table", "tt", "u", "ul", "var",
))  # fmt: skip
# Elements that contain text and no tags, up to their end tag.
_RAW: Final = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in (
        "script",
        "style",
        "iframe",
        "textarea",
        "title",
        "xmp",
        "noembed",
        "noframes",
        "noscript",
    )
}
_CDATA: Final = "<![CDATA["
_RAW_XML: Final = {
    name: re.compile(rf"{re.escape(_CDATA)}|{end.pattern}", re.IGNORECASE)
    for name, end in _RAW.items()
}
_UNSHOWN: Final = _HIDDEN | {"title"}
_TAG = re.compile(
    r"""<(/?)([A-Za-z][^\s/>]*+)(?:[^>="']++ | =\s*+(?:"[^"]*+"|'[^']*+') | [="'] )*+>""",
    re.VERBOSE,
)
_ENTITY = re.compile(
    r"&(?:#0{0,20}[0-9]{1,7}|#[xX]0{0,20}[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?"
)
_LEFT_OUT_NAMED = 5


class Cell(NamedTuple):
    """A cell of a table: its text, and whether it is a heading."""

    text: str
    is_heading: bool


Table = list[list[Cell]]
"""The rows of a table that holds no other table."""


def text(content: bytes, charset: str | None, notes: list[str], *, xml: bool = False) -> str:
    """Extract the visible text of a page, each block and cell on a line of its own, in linear time.

    Args: see `parts`.
    """
    return "".join(_shown(content, charset, notes, xml=xml).shown)


def parts(
    content: bytes, charset: str | None, notes: list[str], *, xml: bool = False
) -> list[str | Table]:
    """Extract the visible text of a page and its tables, in their order, in linear time.

    Tables that hold others are layout; their text is text.

    Args:
        content: the page; bytes that its encoding lacks become U+FFFD, as in browsers.
        charset: the encoding that was sent with the page, which takes precedence over the page's.
        notes: receives what was left out: most of the page, or all behind an unfinished tag.
        xml: whether it is XHTML, where `/>` closes any element.
    """
    page = _shown(content, charset, notes, xml=xml)
    result: list[str | Table] = []
    at = 0
    for span in page.tables:
        result.append("".join(page.shown[at : span.start]))
        result.append(_table(span, page.shown))
        at = span.end
    result.append("".join(page.shown[at:]))
    return result


def _table(span: "_TableSpan", shown: list[str]) -> Table:
    """The rows of a table whose cells begin at some of the texts that are shown."""
    starts = [start for row in span.rows for start, _ in row]
    ends = iter([*starts[1:], span.end])
    table: Table = []
    for row in span.rows:
        table.append([])
        for start, is_heading in row:
            words = "".join(shown[start : next(ends)]).split()
            table[-1].append(Cell(" ".join(words), is_heading))
    return table


def _shown(content: bytes, charset: str | None, notes: list[str], *, xml: bool) -> "_VisibleText":
    """What is shown of a page; `notes` receives what was left out."""
    page = _VisibleText()
    unfinished, rest = _walk(decode_page(content, charset), page, xml=xml)
    shown = "".join(page.shown)
    if _count_visible(rest):
        notes.append(
            f"the page breaks off in {unfinished}, which never ends: "
            f"{len(rest):,} characters were not read"
        )
    shown_count = _count_visible(shown)
    hidden_count = page.hidden_counts.total()
    if hidden_count > shown_count:
        largest = page.hidden_counts.most_common(_LEFT_OUT_NAMED)
        where = ", ".join(f"{count:,} in <{name}>" for name, count in largest)
        notes.append(
            f"most of the page was left out: {hidden_count:,} of "
            f"{hidden_count + shown_count:,} characters ({where})"
        )
    elif not shown_count and not _count_visible(rest) and content.strip():
        notes.append("the page itself shows no text; its scripts are not run")
    return page


def _count_visible(piece: str) -> int:
    """Count characters other than blanks and line ends."""
    return len(piece) - sum(map(piece.count, " \n\r\t"))


class _TableSpan:
    """The places of a table among the texts that are shown.

    Attributes:
        start: of the text with which it begins.
        end: of the text behind it.
        rows: for each cell the place where its texts begin, and whether it is a heading.
        is_layout: whether it holds another table.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.rows: list[list[tuple[int, bool]]] = []
        self.is_layout = False


class _VisibleText:
    """Collects the texts of a page that are shown, with as much of the tree as that takes.

    Attributes:
        shown: the texts, and a line end where a block begins or ends.
        hidden_counts: characters that are not shown, by the outermost element that hides them;
            scripts and styles do not count.
        tables: those that are shown and hold no other, in their order.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.tables: list[_TableSpan] = []
        self._open_tables: list[_TableSpan] = []
        self.hidden_counts = Counter[str]()
        self._opened: list[str] = []
        self._within = Counter[str]()
        self._hidden = 0
        self._hider = ""
        self._body = False

    @property
    def foreign(self) -> bool:
        """Whether the next tag is within SVG or MathML."""
        return bool(self._opened) and self._opened[-1] in _WITHIN_FOREIGN

    def add_text(self, piece: str) -> None:
        """Handle text between tags."""
        if not self._body and not piece.isspace() and self._at_head():
            self._begin_body()
        self.add_raw_text(piece)

    def add_raw_text(self, piece: str) -> None:
        """Handle the text of an element without tags."""
        if not self._hidden:
            self.shown.append(piece)
        elif self._opened[-1] not in ("script", "style"):
            self.hidden_counts[self._hider] += _count_visible(piece)

    def start(self, name: str, *, closed: bool) -> None:
        """Handle a start tag; `closed` if it also ends its element."""
        if not self._body and name not in _OF_HEAD and self._at_head():
            self._begin_body()
        foreign = self.foreign
        if foreign and name in _HTML_ALWAYS:
            self._end_foreign()
            foreign = False
        if name == "head" and (self._body or self._opened):
            return
        if name in _BREAKS:
            self._break()
            if self._open_tables:
                self._begin_part(name)
        if not closed and (
            name in _WITHIN_FOREIGN or name in _HTML_AGAIN if foreign else name in _CONTAINERS
        ):
            self._open(name)

    def end(self, name: str) -> None:
        """Handle an end tag."""
        if not self._body and name in _ENDS_HEAD and self._at_head():
            self._begin_body()
        if name in ("p", "br") and self.foreign:
            self._end_foreign()
        if name in _BREAKS:
            self._break()
        if self._within[name]:
            while self._close() != name:
                pass

    def _begin_part(self, name: str) -> None:
        """Note where a row or cell of the innermost table begins."""
        rows = self._open_tables[-1].rows
        if name == "tr":
            rows.append([])
        elif name in ("td", "th"):
            if not rows:
                rows.append([])
            rows[-1].append((len(self.shown), name == "th"))

    def _begin_table(self) -> None:
        if self._open_tables:
            self._open_tables[-1].is_layout = True
        self._open_tables.append(_TableSpan(len(self.shown)))

    def _end_table(self) -> None:
        table = self._open_tables.pop()
        table.end = len(self.shown)
        if table.rows and not table.is_layout and not self._hidden:
            self.tables.append(table)

    def _break(self) -> None:
        if not self._hidden and self.shown and self.shown[-1] != "\n":
            self.shown.append("\n")

    def _at_head(self) -> bool:
        """Whether what follows is in the head itself, or before it."""
        return not self._opened or self._opened[-1] == "head"

    def _begin_body(self) -> None:
        self._body = True
        if self._opened:
            self._close()

    def _end_foreign(self) -> None:
        while self.foreign:
            self._close()

    def _open(self, name: str) -> None:
        self._opened.append(name)
        self._within[name] += 1
        if name == "table":
            self._begin_table()
        if self._hides(name):
            self._hidden += 1
            if self._hidden == 1:
                self._hider = name

    def _close(self) -> str:
        last = self._opened.pop()
        if last == "table":
            self._end_table()
        self._hidden -= self._hides(last)
        self._within[last] -= 1
        return last

    def _hides(self, name: str) -> bool:
        return name in _HIDDEN and not (
            name == "header" and any(self._within[article] for article in _ARTICLES)
        )


def _walk(markup: str, page: _VisibleText, *, xml: bool) -> tuple[str, str]:
    """Pass the texts and tags of a page to `page`.

    Markup that begins and never ends takes the rest of the page, as in browsers: return its kind
    and that rest.
    """
    at = start = 0
    while (at := markup.find("<", at)) >= 0:
        sign = markup[at + 1 : at + 2]
        if not (sign.isascii() and (sign.isalpha() or (sign and sign in "/!?"))):  # a "less than"
            at += 1
            continue
        if at > start:
            page.add_text(_unescape(markup[start:at]))
        if tag := _TAG.match(markup, at):
            kind, start, end = _read_tag(markup, tag, page, xml=xml)
        elif sign.isalpha():
            kind = "a tag"
            start = at
            end = -1
        elif markup.startswith(_CDATA, at) and (xml or page.foreign):
            kind = "a CDATA section"
            start = at + len(_CDATA)
            end = markup.find("]]>", at)
            if end >= 0:
                page.add_text(markup[start:end])
                end += 3
        else:
            kind, start, end = _skip_comment(markup, at)
        if end < 0:
            return kind, markup[start:]
        at = start = end
    if len(markup) > start:
        page.add_text(_unescape(markup[start:]))
    return "", ""


def _read_tag(
    markup: str, tag: re.Match[str], page: _VisibleText, *, xml: bool
) -> tuple[str, int, int]:
    """Pass a tag to `page`, and its element's text if it contains no tags.

    Returns:
        Its kind, the index where its contents begin, and the index where to go on, or -1.
    """
    name = tag[2].lower()
    start = tag.end()
    if tag[1]:
        page.end(name)
        return name, start, start
    foreign = page.foreign and name not in _HTML_ALWAYS
    may_be_closed = xml or foreign or name in _FOREIGN
    closed = markup[start - 2] == "/" and may_be_closed and _is_closed(tag[0])
    page.start(name, closed=closed)
    if closed or foreign or name not in _RAW:
        return name, start, start
    end = _find_raw_end(markup, name, start, xml=xml)
    if end >= 0 and name not in _UNSHOWN:
        page.add_raw_text(markup[start:end])
    return f"<{name}>", start, end


def _is_closed(tag: str) -> bool:
    """Whether the slash at a tag's end closes it: in `<svg width=1/>` it belongs to the value."""
    inner = tag[:-2]
    if inner[-1].isspace() or inner[-1] in "\"'":
        return True
    *before, last = inner.rsplit(None, 1)
    return "=" not in last and not (before and before[0].endswith("="))


def _find_raw_end(markup: str, name: str, start: int, *, xml: bool) -> int:
    """Return the index of the end tag of an element without tags, or -1.

    In XHTML a CDATA section may contain what looks like the end tag.
    """
    pattern = _RAW_XML[name] if xml else _RAW[name]
    while start >= 0 and (match := pattern.search(markup, start)):
        if match[0] != _CDATA:
            return match.start()
        start = markup.find("]]>", match.end())
    return -1


def _skip_comment(markup: str, at: int) -> tuple[str, int, int]:
    """Skip a comment, a document type, or what browsers treat like them.

    Returns:
        Its kind, the index where its contents begin, and the index where to go on, or -1.
    """
    if markup.startswith("<!--", at):
        end = markup.find("-->", at + 2)  # `<!-->` is a comment, too
        return "a comment", at + 4, end + 3 if end >= 0 else -1
    end = markup.find(">", at)
    return "a declaration", at + 2, end + 1 if end >= 0 else -1


def _unescape(piece: str) -> str:
    return _ENTITY.sub(lambda match: html.unescape(match[0]), piece) if "&" in piece else piece

"""Web pages: the text that a reader sees, without what surrounds the article.

No tree is built: what HTML's rules ask of one takes quadratic time for pages of nothing but opening tags, and what is
read here may come from anybody. Tags are read as browsers read them; of the tree only what is shown is kept track of.
"""

import codecs
import html
import re
from collections import Counter
from typing import Final

UNSEEN = ["script", "style", "template", "noscript", "iframe", "svg", "head"]
"""Elements whose text nobody sees."""

AROUND = ["nav", "header", "footer", "form", "button", "select"]
"""Elements around what a page is about."""

BLOCKS = (
    "address", "article", "aside", "blockquote", "br", "caption", "center", "dd", "details", "div", "dl", "dt",
    "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "option", "p", "pre",
    "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
)  # fmt: skip
"""Where a line ends on the page, or a cell: `<td>evil.example</td><td>192.0.2.1</td>` are two words."""

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE
)
_BOM = b"\xef\xbb\xbf"
# What browsers know. Python knows more, and of that some (punycode, idna) take quadratic time for hostile pages.
_ENCODINGS = frozenset((
    "utf-8", "cp866", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "cp874", "gbk", "gb2312", "gb18030", "big5",
    "big5hkscs", "euc_jp", "iso2022_jp", "shift_jis", "cp932", "euc_kr", "cp949",
    *(f"cp{number}" for number in range(1250, 1259)), *(f"iso8859-{number}" for number in range(1, 17)),
))  # fmt: skip

_BREAKS: Final = frozenset(BLOCKS) | {"fieldset", "footer", "form", "header", "legend", "nav"}
# Whole pages of some systems are one form. A header may be an article's own.
_HIDDEN: Final = frozenset(UNSEEN + AROUND) - {"form"}
_ARTICLES: Final = ("article", "main")
# What an end tag closes together with all that was left open within. Paragraphs, rows and bold print do not.
_HOLDING: Final = _HIDDEN | {
    "address", "article", "aside", "blockquote", "center", "details", "dl", "div", "fieldset", "figure", "main", "math",
    "ol", "section", "table", "td", "th", "ul",
}  # fmt: skip
# What a head may hold (the standard's "in head"); any other tag, or text, ends it: nobody has to write `</head>`.
_OF_HEAD: Final = frozenset((
    "base", "basefont", "bgsound", "head", "html", "link", "meta", "noframes", "noscript", "script", "style",
    "template", "title",
))  # fmt: skip
_ENDS_HEAD: Final = ("head", "body", "html", "br")
# Foreign elements: within them `/>` ends an element and scripts are markup, until one begins where HTML goes on.
_FOREIGN: Final = ("svg", "math")
_WITHIN_FOREIGN: Final = frozenset((*_FOREIGN, "script", "style"))
_HTML_AGAIN: Final = frozenset(("foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext"))
# What is HTML wherever it stands: it ends foreign elements that were left open.
_HTML_ALWAYS: Final = frozenset((
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
    "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var",
))  # fmt: skip
# Elements that hold text and no tags, up to their own end tag.
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


def text(content: bytes, charset: str | None, notes: list[str], *, xml: bool = False) -> str:
    """What a reader sees of a page's own matter, each block and cell on a line of its own; in linear time.

    Args:
        content: the page; bytes that are none of its encoding become U+FFFD, as in browsers.
        charset: the encoding that was sent with it, if one was; it counts more than what the page says of itself.
        notes: takes what was left out, where that is most of the page, or all behind something that never ends.
        xml: whether it is XHTML: any element may be closed by `/>`.
    """
    page = _Shown()
    unfinished, rest = _walk(decode_page(content, charset), page, xml=xml)
    found = "".join(page.shown)
    if _ink(rest):
        notes.append(
            f"the page breaks off in {unfinished}, which never ends: {len(rest):,} characters were not read"
        )
    seen, left = _ink(found), page.left.total()
    if left > seen:
        where = ", ".join(
            f"{count:,} in <{name}>" for name, count in page.left.most_common(_LEFT_OUT_NAMED)
        )
        notes.append(
            f"most of the page was left out: {left:,} of {left + seen:,} characters ({where})"
        )
    elif not seen and not _ink(rest) and content.strip():
        notes.append("the page itself shows no text; its scripts are not run")
    return found


def _ink(piece: str) -> int:
    """How many characters somebody sees, blanks and line ends left out."""
    return len(piece) - sum(map(piece.count, " \n\r\t"))


class _Shown:
    """Which texts of a page are shown: as much of the tree as that takes.

    Attributes:
        shown: the texts, and a line's end where a block begins or ends.
        left: characters that are not shown, by the outermost element that hides them; scripts and styles are no text.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.left = Counter[str]()
        self._opened: list[str] = []
        self._within = Counter[str]()
        self._hidden = 0
        self._hider = ""
        self._body = False

    @property
    def foreign(self) -> bool:
        """Whether the next tag stands in SVG or MathML."""
        return bool(self._opened) and self._opened[-1] in _WITHIN_FOREIGN

    def words(self, piece: str) -> None:
        """Text between tags."""
        if not self._body and not piece.isspace() and self._at_head():
            self._begin_body()
        self.raw(piece)

    def raw(self, piece: str) -> None:
        """Text in an element that holds no tags."""
        if not self._hidden:
            self.shown.append(piece)
        elif self._opened[-1] not in ("script", "style"):
            self.left[self._hider] += _ink(piece)

    def start(self, name: str, *, closed: bool) -> None:
        """A start tag; `closed` when it is its element's end as well, where that counts."""
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
        if not closed and (
            name in _WITHIN_FOREIGN or name in _HTML_AGAIN if foreign else name in _HOLDING
        ):
            self._open(name)

    def end(self, name: str) -> None:
        """An end tag."""
        if not self._body and name in _ENDS_HEAD and self._at_head():
            self._begin_body()
        if name in ("p", "br") and self.foreign:
            self._end_foreign()
        if name in _BREAKS:
            self._break()
        if self._within[name]:
            while self._close() != name:
                pass

    def _break(self) -> None:
        if not self._hidden and self.shown and self.shown[-1] != "\n":
            self.shown.append("\n")

    def _at_head(self) -> bool:
        """Whether what comes next stands in the head itself, or before it."""
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
        if self._hides(name):
            self._hidden += 1
            if self._hidden == 1:
                self._hider = name

    def _close(self) -> str:
        last = self._opened.pop()
        self._hidden -= self._hides(last)
        self._within[last] -= 1
        return last

    def _hides(self, name: str) -> bool:
        return name in _HIDDEN and not (
            name == "header" and any(self._within[article] for article in _ARTICLES)
        )


def _walk(markup: str, page: _Shown, *, xml: bool) -> tuple[str, str]:
    """Tell texts and tags to `page`. What begins and never ends takes the rest, as in browsers: what, and that rest."""
    at = start = 0
    while (at := markup.find("<", at)) >= 0:
        sign = markup[at + 1 : at + 2]
        if not (sign.isascii() and (sign.isalpha() or (sign and sign in "/!?"))):  # a "less than"
            at += 1
            continue
        if at > start:
            page.words(_unescaped(markup[start:at]))
        if tag := _TAG.match(markup, at):
            kind, start, end = _tag(markup, tag, page, xml=xml)
        elif sign.isalpha():
            kind, start, end = "a tag", at, -1
        elif markup.startswith(_CDATA, at) and (xml or page.foreign):
            kind, start, end = "a CDATA section", at + len(_CDATA), markup.find("]]>", at)
            if end >= 0:
                page.words(markup[start:end])
                end += 3
        else:
            kind, start, end = _aside(markup, at)
        if end < 0:
            return kind, markup[start:]
        at = start = end
    if len(markup) > start:
        page.words(_unescaped(markup[start:]))
    return "", ""


def _tag(markup: str, tag: re.Match[str], page: _Shown, *, xml: bool) -> tuple[str, int, int]:
    """Tell `page` a tag, and what it holds where that is text: its kind, where that begins, where to go on (or -1)."""
    name, start = tag[2].lower(), tag.end()
    if tag[1]:
        page.end(name)
        return name, start, start
    foreign = page.foreign and name not in _HTML_ALWAYS
    closed = markup[start - 2] == "/" and (xml or foreign or name in _FOREIGN) and _closed(tag[0])
    page.start(name, closed=closed)
    if closed or foreign or name not in _RAW:
        return name, start, start
    end = _raw_end(markup, name, start, xml=xml)
    if end >= 0 and name not in _UNSHOWN:
        page.raw(markup[start:end])
    return f"<{name}>", start, end


def _closed(tag: str) -> bool:
    """Whether the slash at a tag's end is one: it may be a value's last character, as in `<svg width=1/>`."""
    written = tag[:-2]
    if written[-1].isspace() or written[-1] in "\"'":
        return True
    *before, last = written.rsplit(None, 1)
    return "=" not in last and not (before and before[0].endswith("="))


def _raw_end(markup: str, name: str, start: int, *, xml: bool) -> int:
    """Where the end tag of an element that holds text begins, or -1. In XHTML a CDATA section may speak of one."""
    pattern = _RAW_XML[name] if xml else _RAW[name]
    while start >= 0 and (found := pattern.search(markup, start)):
        if found[0] != _CDATA:
            return found.start()
        start = markup.find("]]>", found.end())
    return -1


def _aside(markup: str, at: int) -> tuple[str, int, int]:
    """A comment, a document type, or what browsers take for one: what, where it begins, where to go on (or -1)."""
    if markup.startswith("<!--", at):
        end = markup.find("-->", at + 2)  # `<!-->` is one as well
        return "a comment", at + 4, end + 3 if end >= 0 else -1
    end = markup.find(">", at)
    return "a declaration", at + 2, end + 1 if end >= 0 else -1


def _unescaped(piece: str) -> str:
    return _ENTITY.sub(lambda found: html.unescape(found[0]), piece) if "&" in piece else piece


def decode_page(content: bytes, charset: str | None = None) -> str:
    """A page in the encoding it is in by its byte order mark, what was sent with it, or its own words; else UTF-8."""
    if content.startswith(_BOM):
        return content.removeprefix(_BOM).decode("utf-8", "replace")
    if charset is None and (named := _CHARSET.search(content[:4096])):
        charset = named[1].decode()
    try:
        codec = codecs.lookup(charset or "utf-8").name
    except LookupError:
        codec = "utf-8"
    return content.decode(codec if codec in _ENCODINGS else "utf-8", "replace")

"""Web pages: the text that a reader sees, without what surrounds the article.

No tree is built: what HTML's rules ask of one takes quadratic time for pages of nothing but opening tags, and what is
read here may come from anybody. Tags are read as browsers read them; of the tree only what is shown is kept track of.
"""

import codecs
import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

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

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"
# What browsers know. Python knows more, and of that some (punycode, idna) take quadratic time for hostile pages.
_ENCODINGS = frozenset((
    "utf-8", "cp866", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "cp874", "gbk", "gb2312", "gb18030", "big5",
    "big5hkscs", "euc_jp", "iso2022_jp", "shift_jis", "cp932", "euc_kr", "cp949",
    *(f"cp{number}" for number in range(1250, 1259)), *(f"iso8859-{number}" for number in range(1, 17)),
))  # fmt: skip

_BREAKS = frozenset(BLOCKS)
# Whole pages of some systems are one form. A header may be an article's own.
_HIDDEN = frozenset(UNSEEN + AROUND) - {"form"}
_ARTICLES = ("article", "main")
# What an end tag closes together with all that was left open within. Paragraphs, rows and bold print do not.
_HOLDING = _HIDDEN | {
    "address", "article", "aside", "blockquote", "center", "details", "dl", "div", "fieldset", "figure", "main", "ol",
    "section", "table", "td", "th", "ul",
}  # fmt: skip
# Elements that hold text and no tags, up to their own end tag.
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "iframe", "textarea", "title", "xmp", "noembed", "noframes")
}
_TAG = re.compile(
    r"""<(/?)([A-Za-z][^\s/>]*+)(?:[^>="']++ | =\s*+(?:"[^"]*+"|'[^']*+') | [="'] )*+>""",
    re.VERBOSE,
)
_ENTITY = re.compile(r"&(?:#0{0,20}[0-9]{1,7}|#[xX]0{0,20}[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?")


class _Piece(NamedTuple):
    """Text, and the tag behind it: its name (none behind the last text) and whether it ends something."""

    text: str
    tag: str = ""
    ends: bool = False


def text(content: bytes, charset: str | None = None) -> str:
    """What a reader sees of a page's own matter, each block and cell on a line of its own; in linear time.

    Args:
        content: the page; bytes that are none of its encoding become U+FFFD, as in browsers.
        charset: the encoding that was sent with it, if one was; it counts more than what the page says of itself.
    """
    shown: list[str] = []
    opened: list[str] = []
    within = Counter[str]()
    hidden = 0
    for piece in _pieces(decoded(content, charset)):
        if not hidden and piece.text:
            shown.append(piece.text)
        if piece.tag in _BREAKS and not hidden:
            shown.append("\n")
        if piece.tag not in _HOLDING:
            continue
        if not piece.ends:
            opened.append(piece.tag)
            within[piece.tag] += 1
            hidden += _hides(piece.tag, within)
        elif within[piece.tag]:
            last = ""
            while last != piece.tag:
                last = opened.pop()
                hidden -= _hides(last, within)
                within[last] -= 1
    return "".join(shown)


def _hides(name: str, within: Counter[str]) -> bool:
    return name in _HIDDEN and not (name == "header" and any(within[article] for article in _ARTICLES))


def _pieces(markup: str) -> Iterator[_Piece]:
    """Texts and tags. What begins and never ends (a comment, a tag, a script) takes the rest, as in browsers."""
    at = start = 0
    while (at := markup.find("<", at)) >= 0:
        sign = markup[at + 1 : at + 2]
        if not (sign.isascii() and (sign.isalpha() or (sign and sign in "/!?"))):  # a "less than"
            at += 1
            continue
        before = _unescaped(markup[start:at])
        if tag := _TAG.match(markup, at):
            name = tag[2].lower()
            yield _Piece(before, name, bool(tag[1]))
            start = tag.end()
            if name in _RAW and not tag[1]:
                end = _RAW[name].search(markup, start)
                inner = markup[start : end.start() if end else len(markup)]
                if name not in _HIDDEN and name != "title":
                    yield _Piece(inner)
                start += len(inner)
        else:
            yield _Piece(before)
            start = len(markup) if sign.isalpha() else _comment_end(markup, at)
        at = start
    yield _Piece(_unescaped(markup[start:]))


def _comment_end(markup: str, at: int) -> int:
    """Where to go on behind a comment, a document type, or what browsers take for one."""
    if markup.startswith("<!--", at):
        end = markup.find("-->", at + 2)  # `<!-->` is one as well
        return end + 3 if end >= 0 else len(markup)
    end = markup.find(">", at)
    return end + 1 if end >= 0 else len(markup)


def _unescaped(piece: str) -> str:
    return _ENTITY.sub(lambda found: html.unescape(found[0]), piece) if "&" in piece else piece


def decoded(content: bytes, charset: str | None = None) -> str:
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

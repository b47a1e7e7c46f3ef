"""The encodings of web pages."""

import codecs
import re

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE
)
_BOM = b"\xef\xbb\xbf"
# The encodings of browsers. Python has more, some of which (punycode, idna) take quadratic time.
_ENCODINGS = frozenset((
    "utf-8", "cp866", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "cp874", "gbk", "gb2312",
    "gb18030", "big5", "big5hkscs", "euc_jp", "iso2022_jp", "shift_jis", "cp932", "euc_kr", "cp949",
    *(f"cp{number}" for number in range(1250, 1259)),
    *(f"iso8859-{number}" for number in range(1, 17)),
))  # fmt: skip


def decode_page(content: bytes, charset: str | None = None) -> str:
    """Decode a page.

    Its encoding is that of the byte order mark, of `charset`, or the one that the page names, in
    this order; else UTF-8.
    """
    if content.startswith(_BOM):
        return content.removeprefix(_BOM).decode("utf-8", "replace")
    if charset is None and (match := _CHARSET.search(content[:4096])):
        charset = match[1].decode()
    try:
        codec = codecs.lookup(charset or "utf-8").name
    except LookupError:
        codec = "utf-8"
    return content.decode(codec if codec in _ENCODINGS else "utf-8", "replace")

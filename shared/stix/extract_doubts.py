"""Recognises names, addresses and URLs in prose of which a part is missing or cannot be read.

The rest of such a token is often the name of somebody else: it is no observable.
"""

import re
from typing import Final, NamedTuple

from shared.stix.addresses import is_ipv4
from shared.stix.defang import refang
from shared.stix.names import TOP_LEVEL_DOMAINS

CUT: Final = "cut off"
NOT_UTF8: Final = "not UTF-8"
_JOINED_SYMBOL: Final = re.compile("[\u2600-\u2793\U0001f300-\U0001faff]\ufe0f?")
_IDEOGRAPH: Final = re.compile(
    "[\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff65-\uffdc]"
)
"""Letters of scripts without blanks between words, beside which a name may stand."""
_MARK: Final = r"(?:\\{0,2}+[\[({]{1,3}+\\{0,2}+(?:\.|dot)\\{0,2}+[\])}]{1,3}+|<(?:\.|dot)>)"
_MARK_BEFORE_BLANK: Final = re.compile(rf"(?<![ \t]){_MARK}[ \t]++(\w++)", re.IGNORECASE)
_CONTINUED: Final = re.compile(
    rf"{_MARK}[ \t]{{0,4}}+\r?+\n[ \t]{{0,8}}+(?-i:[a-z0-9])|(?-i:[ \t]DOT[ \t]++[a-z]{{2}})"
    "|\u2026|\\.\\.\\.|[\u2013\u2014][0-9]{1,3}+(?![0-9.])",
    re.IGNORECASE,
)


class SentenceMark(NamedTuple):
    """A defanged dot behind a whole name, with a blank behind it: the end of a sentence.

    Attributes:
        start: its place in the token.
        end: the place of the word behind it.
        is_doubtful: whether that word may be the name's last label as well.
    """

    start: int
    end: int
    is_doubtful: bool


def broken_word(text: str, start: int, end: int) -> str:
    """Why the word `text[start:end]` is only a part of one; empty if it is whole."""
    if text.find("\ufffd", start, end) >= 0:
        return NOT_UTF8
    before = text[start - 1 : start]
    behind = text[end : end + 1]
    if before.isascii() and before != "." and behind.isascii():
        return ""
    first = text[start - 2 : start - 1] if start > 1 else ""
    if before == "." and not first.isascii() and first.isalnum():
        return CUT
    if _is_foreign_letter(before) or _is_foreign_letter(behind):
        return CUT
    is_joined = bool(_JOINED_SYMBOL.match(before)) and first.isalnum()
    return CUT if is_joined else ""


def _is_foreign_letter(letter: str) -> bool:
    """Whether a letter beside a word belongs to it, although names are not written with it."""
    return not letter.isascii() and letter.isalnum() and _IDEOGRAPH.match(letter) is None


def sentence_mark(raw: str) -> SentenceMark | None:
    """The first defanged dot in a token that ends a sentence; None if none does."""
    for mark in _MARK_BEFORE_BLANK.finditer(raw):
        head = refang(raw[: mark.start()])
        last = head.rpartition(".")[2].lower()
        if is_ipv4(head) or ("." in head and last in TOP_LEVEL_DOMAINS):
            word = mark[1]
            is_doubtful = word == word.lower() and word in TOP_LEVEL_DOMAINS
            return SentenceMark(mark.start(), mark.start(1), is_doubtful)
    return None


def is_cut(text: str, end: int) -> bool:
    """Whether a name or address that ends here goes on behind a line end, a dash or dots."""
    return _CONTINUED.match(text, end) is not None


def has_ellipsis(text: str, start: int, end: int, last: int) -> bool:
    """Whether an ellipsis stands in the URL `text[start:end]`, or among the marks up to `last`."""
    return text.find("\u2026", start, last) >= 0 or text.find("...", end, last) >= 0

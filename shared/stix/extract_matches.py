"""What the readers of prose share: mentions, and the signs that words and defanged marks have."""

import re
from collections.abc import Callable
from typing import NamedTuple

from shared.stix.observable import normalise
from shared.stix.vocabulary import NotAnObservable, ObservableType

DOUBT = "doubt"
"""The type of a mention of which a part is missing; its value is the reason."""


class Match(NamedTuple):
    """One mention.

    Attributes:
        type: an `ObservableType`; from `attack_ids`, one of `ATTACK`.
        value: canonical value.
        start: the index of its first character.
        end: the index behind its last: `text[start:end]` is its spelling in the text.
    """

    type: str
    value: str
    start: int
    end: int


AddMatch = Callable[[Match], None]
# Letters of words and labels: ASCII, and those of scripts that put blanks between words. A name
# next to Chinese or Japanese text ends where that begins; names in such scripts match in URLs only.
# A letter that was lost (U+FFFD) belongs to its word, which is then no observable.
LETTERS = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u0386-\u0481\u048a-\u0556\u0561-\u0587"
    "\u05d0-\u05ea\u0620-\u065f\u066e-\u06d3\u0900-\u0963\u0966-\u0dff\u1e00-\u1fff\u2010\u2011"
    "\ufffd\\-"
)
WORD_SIGNS = f"0-9_{LETTERS}"
CJK = "\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
# Marks of defanging: in brackets, with blanks around them as well; one bracket may be missing.
DOT = (
    r"(?:\.(?:\](?=[a-z0-9]))?+|[ \t]?+(?:"
    r"[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])\\{0,2}+[\])}]{1,3}+|<(?:\.|[dD][oO][tT])>"
    r"|\\{1,2}+[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])\\{0,2}+[\])}]{1,3}+)[ \t]?+"
    r"|\[\.(?=[a-z0-9])|\\{1,2}+\.|[ ]DOT[ ](?=[a-z0-9])|[\u3002\uff0e\uff61](?=[0-9A-Za-z]))"
)
# A URL behind its scheme. It ends before the marks that surround URLs in prose, markup and lists.
# A square bracket belongs to it as a mark of defanging, around an address of IPv6, and as the index
# of a query's field. Any other is markup: `url[text]` in AsciiDoc, `[url text]` in a wiki.
URL_END = r"\s<>\"'`|^\u2018-\u201f\u00ab\u00bb"
PREFIX = re.compile(rf"(?:/|\[/\])([0-9]{{1,5}}+)(?![{WORD_SIGNS}/]|\.[0-9])")


def try_add(add: AddMatch, kind: ObservableType, raw: str, start: int, end: int) -> bool:
    """Add a mention if its text is an observable of a type; return whether it is."""
    try:
        value = normalise(kind, raw)
    except NotAnObservable:
        return False
    add(Match(kind, value, start, end))
    return True

"""Extracts the observables that a report, a page or a mail names, however they are defanged.

A tokenizer walks over the text once. It consumes each token as a whole, whether or not the token is
an observable, and every look beyond a token is bounded: the time is linear in the text's length for
hostile text as well. A match is what `normalise` accepts, except what `extract_noise` recognises.

The tokens' readers are in `extract_words`, `extract_names`, `extract_addresses`, `extract_urls` and
`extract_colons`; what is cut off is told by `extract_doubts`.
"""

import re
from collections.abc import Callable, Iterator

from shared.stix.attack_ids import ATTACK, attack_ids
from shared.stix.extract_colons import read_backslash, read_bare_colons, read_colons
from shared.stix.extract_matches import DOT, DOUBT, LETTERS, WORD_SIGNS, AddMatch, Match
from shared.stix.extract_names import read_joined
from shared.stix.extract_urls import read_url
from shared.stix.extract_words import read_word

__all__ = ("ATTACK", "DOUBT", "Match", "attack_ids", "extract")

_AT = r"(?:@|[ \t]?+[\[({]{1,3}+(?:@|[aA][tT])[\])}]{1,3}+[ \t]?+)"
# One look at the blank behind a word, which most words have, and one at what follows it.
_BLANK_MARK = r"[ \t](?:[\[({<](?:\.|@|[dD][oO][tT]|[aA][tT]|\\)|\\{1,2}[\[({]|DOT[ ])"
_SCHEME_END = r"(?:(?::|[\[({]:[\])}])(?:\\?/|\[/\]){2}|[\[({]:(?:\\?/){2}[\])}])"
_NEXT = re.compile(
    rf"""
    (?: [^{WORD_SIGNS}:%]++ | [{LETTERS}]++ (?=[\s,;!?)"'\u2019\u201d]|\.[\s]) (?!{_BLANK_MARK})
      | :(?!:[0-9A-Fa-f]) | %(?![A-Za-z]{{3,20}}%\\) )*+
    (?: (?P<word>(?:[hH]\*\*[pP][sS]?|[{WORD_SIGNS}]++))
        (?P<joined>(?:(?:{DOT}|{_AT}|\+)[{WORD_SIGNS}]++)++)?+
        (?: (?P<scheme>{_SCHEME_END}(?=\S))
          | (?(joined)(?!)|(?:(?P<colon>(?=:\S|\[:\])) | (?P<backslash>(?=\\)))) )?+
      | (?P<bare_colons>(?=::)) | (?P<variable>%[A-Za-z]{{3,20}}%) | \Z | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def extract(text: str, doubts: list[Match] | None = None) -> Iterator[Match]:
    """Extract the observables that a text names, in order of position, without overlaps.

    Each mention is a match of its own. A URL includes its host, an e-mail address its domain.
    `name/path` is an http URL; of `name:port` the name matches. Hashes in file names match. Names
    of files and mutexes have no distinctive form and never match.

    Args:
        text: prose.
        doubts: receives, as matches of the type `DOUBT` with a reason as their value, what looks
            like an observable of which a part is missing.
    """
    matches: list[Match] = []
    at = 0
    end = len(text)
    while at < end:
        token = _NEXT.match(text, at)
        assert token is not None  # noqa: S101 - its last alternative takes any character
        at = token.end()
        reader = _READERS.get(token.lastgroup or "")
        if reader is not None:
            at = reader(text, token.start("word"), at, matches.append)
            if matches:
                if matches[-1][0] is DOUBT:
                    doubt = matches.pop()
                    if doubts is not None:
                        doubts.append(doubt)
                yield from matches
                matches.clear()


_READERS: dict[str, Callable[[str, int, int, AddMatch], int]] = {
    "word": read_word,
    "joined": read_joined,
    "scheme": read_url,
    "colon": read_colons,
    "backslash": read_backslash,
    "bare_colons": read_bare_colons,
}

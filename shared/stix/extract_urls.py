"""Reads URLs in prose: behind their scheme, or behind a host with a path."""

import re

from shared.stix.extract_doubts import CUT, has_ellipsis, is_cut
from shared.stix.extract_matches import (
    CJK,
    DOUBT,
    URL_END,
    AddMatch,
    Match,
    try_add,
)
from shared.stix.extract_noise import in_path
from shared.stix.vocabulary import MAX_LENGTH, ObservableType

_T = ObservableType

_NEXT_COLUMN = (
    r"[\[({]?(?:h\S\Sp|s?f[tx]p)s?[:\[({]|[0-9a-f]{32,64}+(?![0-9A-Za-z])"
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z.])"
)
"""Behind a comma or semicolon: the list's next address, hash or URL, which ends this URL."""
_URL_REST = re.compile(
    rf"""
    (?: \[[0-9A-Fa-f:.]{{2,45}}+\] )?+
    (?: [^{URL_END}{CJK}\\,;\[\].]++ | \.(?:\](?=[a-z0-9]))?+ | \[\.(?=[a-z0-9])
      | \[{{1,3}}+\\?(?:\.|:|/|@|://|dot|at)\]{{1,3}}+ | \[[0-9A-Za-z_.$-]{{0,40}}+\](?=[=&\[])
      | \\(?=[./]) | [,;](?!{_NEXT_COLUMN}) )++
    | [{CJK}][^{URL_END}]*+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Behind a name or address without a scheme: a port, and a path that is more than its slash.
_PATH = re.compile(rf"(?::[0-9]{{1,5}}+)?+/[^{URL_END}{CJK}\\,;\[\](){{}}]++([\[({{]\.)?+")
_SCHEME = re.compile(r"h\*\*ps?(?=:|[\[({]:)|[A-Za-z][0-9A-Za-z_+-]{0,30}+(?=:|[\[({]:)")
_UNDERSCORED = re.compile(
    r"(?:^|(?<![0-9A-Za-z_]))h[tx*]{2}ps?(?:__(?=[0-9A-Za-z])|:$)", re.IGNORECASE
)
_MARKS_OF_CUTS = frozenset("[({<\\. \t\u2026\u2013\u2014")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def lacks_slashes(text: str, start: int, raw: str) -> bool:
    """Whether a name begins with `http__`, or with `__` behind `http:`."""
    if raw.startswith("__"):
        return _UNDERSCORED.search(text, max(0, start - 7), start) is not None
    return _UNDERSCORED.match(raw) is not None


def read_scheme(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read a URL whose scheme is written `http__` or `http:__`; its host is no name by itself."""
    raw = text[start:end]
    before = _UNDERSCORED.search(text, max(0, start - 7), start)
    if raw.startswith("__") and before is not None:
        start = before.start()
    path = _PATH.match(text, end)
    stop = trimmed(text, end, path.end()) if path else end
    try_add(add, _T.URL, text[start:stop], start, stop)
    return path.end() if path else end


def read_with_path(text: str, start: int, end: int, host: Match, add: AddMatch) -> int:
    """Add a host, or with the path behind it a URL; return where to go on."""
    mark = text[end : end + 1]
    is_in_doubt = mark in _MARKS_OF_CUTS and (mark != " " or text.startswith("D", end + 1))
    if is_in_doubt and is_cut(text, end):
        add(Match(DOUBT, CUT, start, end))
        return end
    path = None
    if text[end : end + 1] in ("/", ":") and not in_path(text, start):
        path = _PATH.match(text, end)
    if path is None:
        add(host)
        return end
    if path[1]:  # `one.example/two[.]example`: a name follows the last separator
        add(host)
        return 1 + max(text.rfind(mark, end, path.end()) for mark in "/?=&#")
    stop = trimmed(text, end, path.end())
    if has_ellipsis(text, end, stop, path.end()):
        add(Match(DOUBT, CUT, start, path.end()))
        return path.end()
    bare = text[stop - 1] == "/" and text.find("/", end) == stop - 1
    raw = f"{host.value}{text[end:stop]}"
    if bare or len(raw) > MAX_LENGTH or not try_add(add, _T.URL, raw, start, stop):
        add(host)
    return path.end()


def read_url(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read a URL with its scheme: `start` begins the word before the colon, `end` follows `//`."""
    rest = _URL_REST.match(text, end)
    if rest is None:
        return end
    if rest.end() - start > 2 * MAX_LENGTH:
        return rest.end()
    scheme = _SCHEME.search(text, max(start, end - 40), end)
    if scheme is None:
        return rest.end()
    stop = trimmed(text, end, rest.end())
    raw = text[scheme.start() : stop].replace("\\/", "/")
    if "\ufffd" in raw or has_ellipsis(text, end, stop, rest.end()):
        reason = "not UTF-8" if "\ufffd" in raw else CUT
        add(Match(DOUBT, reason, scheme.start(), rest.end()))
        return rest.end()
    try_add(add, _T.URL, raw, scheme.start(), stop)
    return rest.end()


def trimmed(text: str, start: int, end: int) -> int:
    """Return the end of a URL without the sentence's marks and brackets opened before it."""
    if end - start > 2 * MAX_LENGTH:
        return end
    depth: dict[str, int] = {}
    while end > start:
        mark = text[end - 1]
        if mark in _CLOSING:
            if not depth:  # most URLs end with no bracket
                depth = _open_brackets(text, start, end)
            if depth[mark] <= 0:
                break
            depth[mark] -= 1
        elif mark not in ".,:;!?*\u2026":
            break
        end -= 1
    return end


def _open_brackets(text: str, start: int, end: int) -> dict[str, int]:
    """How often each bracket is closed within a text without having been opened in it."""
    return {
        closing: text.count(closing, start, end) - text.count(opening, start, end)
        for closing, opening in _CLOSING.items()
    }

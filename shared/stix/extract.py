"""Observables in prose: what a report, a page or a mail names, however it is defanged.

A tokenizer walks over the text once. What it stops at is consumed as a whole, whatever it then turns out to be, and
every look beyond it is bounded, so that the time is linear in the text's length for hostile text as well. Only what
`normalise` accepts is found; `prose` says what merely looks like a name.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.stix import prose
from shared.stix.addresses import is_ipv4, is_mac
from shared.stix.fanging import refang
from shared.stix.observable import normalise
from shared.stix.vocabulary import MAX_LENGTH, NotAnObservable, ObservableType

_T = ObservableType


class Found(NamedTuple):
    """One mention.

    Attributes:
        type: an `ObservableType`; of `attack_ids`, one of `ATTACK`.
        value: canonical value.
        start: where it begins, in characters of the text.
        end: behind its last character: `text[start:end]` is how it was spelled.
    """

    type: str
    value: str
    start: int
    end: int


_Take = Callable[[Found], None]

# What words and labels are made of: ASCII, and the letters of scripts that put blanks between words. A name next to
# Chinese or Japanese text ends where that begins; names in such scripts are found in URLs only.
_LETTER = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u0386-\u0481\u048a-\u0556\u0561-\u0587\u05d0-\u05ea\u0620-\u065f"
    "\u066e-\u06d3\u0900-\u0963\u0966-\u0dff\u1e00-\u1fff\u2010\u2011-"
)
_W = f"0-9_{_LETTER}"
_CJK = "\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_DOT = r"(?:\.|[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])[\])}]{1,3}+|\\{1,2}+\.)"
_AT = r"(?:@|[\[({]{1,3}+(?:@|[aA][tT])[\])}]{1,3}+)"
_SCHEME_END = r"(?:(?::|[\[({]:[\])}])(?:\\?/){2}|[\[({]:(?:\\?/){2}[\])}])"
_NEXT = re.compile(
    rf"""
    (?: [^{_W}:%]++ | [{_LETTER}]++ (?=[\s,;!?)"'\u2019\u201d]|\.[\s]) | :(?!:[0-9A-Fa-f]) | %(?![A-Za-z]{{3,20}}%\\) )*+
    (?: (?P<word>(?:[hH]\*\*[pP][sS]?|[{_W}]++))
        (?P<joined>(?:(?:{_DOT}|{_AT}|\+)[{_W}]++)++)?+
        (?: (?P<scheme>{_SCHEME_END}(?=\S)) | (?P<colon>(?=:\S|\[:\])) | (?P<backslash>(?=\\)) )?+
      | (?P<bare_colons>(?=::)) | (?P<variable>%[A-Za-z]{{3,20}}%) | \Z | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# A URL behind its scheme. It ends before what is around URLs in prose, markup and lists.
_URL_END = r"\s<>\"'`|^\u2018-\u201f\u00ab\u00bb"
_URL_REST = re.compile(
    rf"""
    (?: [^{_URL_END}{_CJK}\\,;\]]++ | \](?!\() | \\(?=[./]) | [,;](?![\[({{]?(?:h\S\Sp|s?f[tx]p)s?[:\[({{]) )++
    | [{_CJK}][^{_URL_END}]*+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Behind a name or address without a scheme: a port, and a path that is more than its slash.
_PATH = re.compile(rf"(?::[0-9]{{1,5}}+)?+/[^{_URL_END}{_CJK}\\,;\[\](){{}}]++(?![\[({{]\.)")
_PREFIX = re.compile(rf"(?:/|\[/\])([0-9]{{1,3}}+)(?![{_W}/]|\.[0-9])")
_COLONS = re.compile(
    rf"(?:[0-9A-Fa-f]*+(?::|\[:\]))++[0-9A-Fa-f]*+(?:{_DOT}[0-9]{{1,3}}+)*+(?![{_W}])|(?:[0-9A-Fa-f]*+(?::|\[:\]))++"
)
_SSDEEP = re.compile(r"[0-9]{1,10}+:[A-Za-z0-9/+]{6,128}+:[A-Za-z0-9/+]{3,128}+(?![A-Za-z0-9/+:=])")
_HASH = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{32}){1,4}+(?![0-9A-Za-z])|(?<![0-9A-Za-z])[0-9A-Fa-f]{40}(?![0-9A-Za-z])")
_HASHES = {32: _T.MD5, 40: _T.SHA1, 64: _T.SHA256, 128: _T.SHA512}
_WORD = re.compile(
    r"(CVE[-\u2010\u2011][12][0-9]{3}[-\u2010\u2011][0-9]{4,19}+)(?![0-9A-Za-z])|(ASN?[1-9][0-9]{0,9}+$)"
    r"|((?:T1)?[0-9A-Fa-f]{70}$)|((?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$)",
    re.IGNORECASE,
)
_WORD_TYPES = (_T.VULNERABILITY, _T.ASN, _T.TLSH, _T.MAC)
_FINGERPRINTS = {20: _T.X509_SHA1, 32: _T.X509_SHA256}
"""Certificates are the only files whose hashes are written as pairs of digits between colons."""
_HIVE = re.compile(r"HK(?:LM|CU|CR|CC|U|EY_[A-Z_]{4,20})", re.IGNORECASE)
# Directories may hold blanks when another backslash follows soon, the last name never.
_BACKSLASHED = re.compile(
    r"(?::?\\{1,2}+[^\s\\:\"'<>|,;]{1,255}+(?:[ ](?!HK)[^\s\\:\"'<>|,;]{1,64}+){0,4}+(?=\\))*+:?\\{1,2}+"
    r"[^\s\\:\"'<>|,;]{1,255}+"
)
_CLOSING = {")": "(", "]": "[", "}": "{"}


def extract(text: str) -> Iterator[Found]:
    """The observables that `text` names, in order of position and without overlaps; each mention by itself.

    A URL swallows its host, an e-mail address its domain. `name/path` is an http URL; of `name:port` the name is
    found. A hash in a file's name is found. Names of files and mutexes have no shape and are never found.
    """
    found: list[Found] = []
    at, end = 0, len(text)
    while at < end:
        token = _NEXT.match(text, at)
        assert token is not None  # noqa: S101 - its last alternative takes any character
        at = token.end()
        reader = _READERS.get(token.lastgroup or "")
        if reader is not None:
            at = reader(text, token.start("word"), at, found.append)
            if found:
                yield from found
                found.clear()

"""Observables in prose: what a report, a page or a mail names, however it is defanged.

A tokenizer walks over the text once. What it stops at is consumed as a whole, whatever it then turns out to be, and
every look beyond it is bounded, so that the time is linear in the text's length for hostile text as well. Only what
`normalise` accepts is found; `extract_noise` says what merely looks like a name.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.stix.addresses import is_ipv4, is_mac
from shared.stix.defang import refang
from shared.stix.extract_noise import in_path, no_address, no_name, sentence_end
from shared.stix.names import TOP_LEVEL_DOMAINS
from shared.stix.observable import normalise
from shared.stix.vocabulary import MAX_LENGTH, NotAnObservable, ObservableType
from shared.stix.wallets import is_wallet

_T = ObservableType


class Match(NamedTuple):
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


_Take = Callable[[Match], None]

# What words and labels are made of: ASCII, and the letters of scripts that put blanks between words. A name next to
# Chinese or Japanese text ends where that begins; names in such scripts are found in URLs only.
_LETTER = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u0386-\u0481\u048a-\u0556\u0561-\u0587\u05d0-\u05ea\u0620-\u065f"
    "\u066e-\u06d3\u0900-\u0963\u0966-\u0dff\u1e00-\u1fff\u2010\u2011\\-"
)
_W = f"0-9_{_LETTER}"
_CJK = "\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_DOT = r"(?:\.|[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])[\])}]{1,3}+|\\{1,2}+\.)"
_AT = r"(?:@|[\[({]{1,3}+(?:@|[aA][tT])[\])}]{1,3}+)"
_SCHEME_END = r"(?:(?::|[\[({]:[\])}])(?:\\?/){2}|[\[({]:(?:\\?/){2}[\])}])"
_NEXT = re.compile(
    rf"""
    (?: [^{_W}:%]++ | [{_LETTER}]++ (?=[\s,;!?)"'\u2019\u201d]|\.[\s])
      | :(?!:[0-9A-Fa-f]) | %(?![A-Za-z]{{3,20}}%\\) )*+
    (?: (?P<word>(?:[hH]\*\*[pP][sS]?|[{_W}]++))
        (?P<joined>(?:(?:{_DOT}|{_AT}|\+)[{_W}]++)++)?+
        (?: (?P<scheme>{_SCHEME_END}(?=\S)) | (?(joined)(?!)|(?:(?P<colon>(?=:\S|\[:\])) | (?P<backslash>(?=\\)))) )?+
      | (?P<bare_colons>(?=::)) | (?P<variable>%[A-Za-z]{{3,20}}%) | \Z | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# A URL behind its scheme. It ends before what is around URLs in prose, markup and lists.
_URL_END = r"\s<>\"'`|^\u2018-\u201f\u00ab\u00bb"
_NEXT_COLUMN = (
    r"[\[({]?(?:h\S\Sp|s?f[tx]p)s?[:\[({]|[0-9a-f]{32,64}+(?![0-9A-Za-z])"
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z.])"
)
"""Behind a comma or semicolon: the next address, hash or URL of a list and no part of this one."""
_URL_REST = re.compile(
    rf"""
    (?: [^{_URL_END}{_CJK}\\,;\]]++ | \](?!\() | \\(?=[./]) | [,;](?!{_NEXT_COLUMN}) )++
    | [{_CJK}][^{_URL_END}]*+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Behind a name or address without a scheme: a port, and a path that is more than its slash.
_PATH = re.compile(rf"(?::[0-9]{{1,5}}+)?+/[^{_URL_END}{_CJK}\\,;\[\](){{}}]++([\[({{]\.)?+")
_PREFIX = re.compile(rf"(?:/|\[/\])([0-9]{{1,3}}+)(?![{_W}/]|\.[0-9])")
_COLONS = re.compile(
    rf"(?:[0-9A-Fa-f]*+(?::|\[:\]))++[0-9A-Fa-f]*+(?:{_DOT}[0-9]{{1,3}}+)*+(?![{_W}])|(?:[0-9A-Fa-f]*+(?::|\[:\]))++"
)
_SSDEEP = re.compile(r"[0-9]{1,10}+:[A-Za-z0-9/+]{6,128}+:[A-Za-z0-9/+]{3,128}+(?![A-Za-z0-9/+:=])")
_HASH = re.compile(r"(?<![0-9A-Za-z])(?:(?:[0-9A-Fa-f]{32}){1,4}+|[0-9A-Fa-f]{40})(?![0-9A-Za-z])")
_HASHES = {32: _T.MD5, 40: _T.SHA1, 64: _T.SHA256, 128: _T.SHA512}
_WORD = re.compile(
    r"([Cc][Vv][Ee]-[12][0-9]{3}-[0-9]{4,19}+)(?![0-9A-Za-z])|(ASN?[1-9][0-9]{0,9}+$)|((?:T1)?[0-9A-Fa-f]{70}$)"
    r"|((?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$)"
)
_WORD_TYPES = (_T.VULNERABILITY, _T.ASN, _T.TLSH, _T.MAC)
_WALLETS = range(25, 107)
"""Lengths of addresses of wallets; whether a word of such a length is one, its check sum says."""
_HYPHENS = {0x2010: "-", 0x2011: "-"}
_FINGERPRINTS = {20: _T.X509_SHA1, 32: _T.X509_SHA256}
"""Certificates are the only files whose hashes are written as pairs of digits between colons."""
_HIVE = re.compile(r"HK(?:LM|CU|CR|CC|U|EY_[A-Z_]{4,20})", re.IGNORECASE)
# Directories may hold blanks when another backslash follows soon, the last name never.
_PART = rf"[^\s\\:\"'<>|,;`{_CJK}]"
_BACKSLASHED = re.compile(
    rf":?\\{{1,2}}+{_PART}{{1,255}}+(?:(?:[ ](?!HK){_PART}{{1,64}}+){{0,4}}+\\{{1,2}}+{_PART}{{1,255}}+)*+"
)
_SCHEME = re.compile(r"h\*\*ps?(?=:|[\[({]:)|[A-Za-z][0-9A-Za-z_+-]{0,30}+(?=:|[\[({]:)")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def extract(text: str) -> Iterator[Match]:
    """The observables that `text` names, in order of position and without overlaps; each mention by itself.

    A URL swallows its host, an e-mail address its domain. `name/path` is an http URL; of `name:port` the name is
    found. A hash in a file's name is found. Names of files and mutexes have no shape and are never found.
    """
    found: list[Match] = []
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


def _take(take: _Take, kind: ObservableType, raw: str, start: int, end: int) -> bool:
    """Takes `raw`, the text of a mention, when it is an observable of that type."""
    try:
        value = normalise(kind, raw)
    except NotAnObservable:
        return False
    take(Match(kind, value, start, end))
    return True


def _word(text: str, start: int, end: int, take: _Take) -> int:
    """What has neither dots nor colons: hashes, CVE ids, numbers of networks, wallets."""
    if end - start < 4:
        return end
    word = text[start:end] if text[start:end].isascii() else text[start:end].translate(_HYPHENS)
    if word.isdigit() and text[max(0, start - 5) : start].rstrip(" :#").endswith("ASN"):
        _take(take, _T.ASN, word, start, end)
    elif shape := _WORD.match(word):
        kind = _WORD_TYPES[(shape.lastindex or 1) - 1]
        _take(take, kind, shape[0], start, start + shape.end())
    elif end - start in _WALLETS and not _HASH.fullmatch(word) and is_wallet(word):
        _take(take, _T.WALLET, word, start, end)
    else:
        _hashes(text, start, end, take)
    return end


def _hashes(text: str, start: int, end: int, take: _Take) -> None:
    """Hashes in a word or the name of a file, such as `VirusShare_<md5>` or `<sha256>.exe`."""
    if end - start < 32:
        return
    for piece in _HASH.finditer(text, start, end):
        kind = _HASHES.get(piece.end() - piece.start())
        if kind and len(set(piece[0])) > 4:  # neither zeros nor a pattern to fill a table with
            _take(take, kind, piece[0], *piece.span())


def _joined(text: str, start: int, end: int, take: _Take) -> int:
    """Words joined by dots, at signs or plus signs, in whatever disguise."""
    while start < end and text[start] == "-":
        start += 1
    last = end
    while last > start and text[last - 1] in "-_":
        last -= 1
    raw = text[start:last]
    plain = refang(raw)
    if not plain.isascii():
        plain = plain.translate(_HYPHENS)
    if "@" in plain:
        return _mail(text, start, last, plain, take)
    if "+" in plain:  # the sum of names, or base64
        start = text.rindex("+", start, last) + 1
        raw, plain = text[start:last], plain.rpartition("+")[2]
        if "." not in plain:
            return _word(text, start, end, take)
    label = plain.rpartition(".")[2]
    if label.isdigit() or (label[:1].isdigit() and "-" in label):
        return _address(text, start, last, plain, take)
    return _name(text, start, last, plain, take)


def _mail(text: str, start: int, end: int, plain: str, take: _Take) -> int:
    """An e-mail address, or the address behind a user's name."""
    if not _in_dns(plain) or not _take(take, _T.EMAIL, plain, start, end):
        name = plain.rpartition("@")[2]
        if is_ipv4(name) and text.endswith(name, start, end):
            return _address(text, end - len(name), end, name, take)
    return end


def _name(text: str, start: int, end: int, plain: str, take: _Take) -> int:
    """A domain name, or with a path behind it a URL."""
    if plain == text[start:end] and no_name(text, start, end):
        return _shorter(text, start, end, plain, take)
    try:
        value = normalise(_T.DOMAIN, plain) if _in_dns(plain) else ""
    except NotAnObservable:
        value = ""
    if not value:
        if is_mac(plain) and _take(take, _T.MAC, plain, start, end):
            return end
        return _shorter(text, start, end, plain, take)
    return _with_path(text, start, end, Match(_T.DOMAIN, value, start, end), take)


def _in_dns(name: str) -> bool:
    """Whether a name may end like this: what normalise would say as well, at a tenth of the price."""
    last = name.rpartition(".")[2]
    return not last.isascii() or last.lower() in TOP_LEVEL_DOMAINS


def _shorter(text: str, start: int, end: int, plain: str, take: _Take) -> int:
    """What is refused as a name may be one and the next sentence, or hold hashes."""
    head, _, last = plain.rpartition(".")
    cut = end - len(last) - 1
    if sentence_end(last) and "." in head and text[cut:end] == f".{last}":
        return (
            max(end, _name(text, start, cut, head, take))
            if not sentence_end(head.rpartition(".")[2])
            else end
        )
    _hashes(text, start, end, take)
    return end


def _with_path(text: str, start: int, end: int, host: Match, take: _Take) -> int:
    """Takes a host, or with the path behind it a URL; says where to go on."""
    path = (
        _PATH.match(text, end)
        if text[end : end + 1] in ("/", ":") and not in_path(text, start)
        else None
    )
    if path is None:
        take(host)
        return end
    if path[
        1
    ]:  # `one.example/two[.]example`: what stands behind the last separator is a name of its own
        take(host)
        return 1 + max(text.rfind(mark, end, path.end()) for mark in "/?=&#")
    stop = _trimmed(text, end, path.end())
    bare = text[stop - 1] == "/" and text.find("/", end) == stop - 1
    raw = f"{host.value}{text[end:stop]}"
    if bare or len(raw) > MAX_LENGTH or not _take(take, _T.URL, raw, start, stop):
        take(host)
    return path.end()


def _address(text: str, start: int, end: int, plain: str, take: _Take) -> int:
    """An IPv4 address, also as a network, a range, or with a path behind it as a URL."""
    if not is_ipv4(plain):
        at = start
        for piece in plain.split("-") if "-" in plain and len(plain) == end - start else ():
            if is_ipv4(piece):
                _take(take, _T.IPV4, piece, at, at + len(piece))
            at += len(piece) + 1
        return end
    if len(plain) == end - start and no_address(text, start):
        return end
    if (prefix := _PREFIX.match(text, end)) and _take(
        take, _T.IPV4, f"{plain}/{prefix[1]}", start, prefix.end()
    ):
        return prefix.end()
    try:
        host = Match(_T.IPV4, normalise(_T.IPV4, plain), start, end)
    except NotAnObservable:
        return end
    return _with_path(text, start, end, host, take)


def _url(text: str, start: int, end: int, take: _Take) -> int:
    """A URL with its scheme; `start` is where the word before its colon begins, `end` behind the slashes."""
    rest = _URL_REST.match(text, end)
    if rest is None:
        return end
    if rest.end() - start > 2 * MAX_LENGTH:
        return rest.end()
    scheme = _SCHEME.search(text, max(start, end - 40), end)
    if scheme is None:
        return rest.end()
    stop = _trimmed(text, end, rest.end())
    raw = text[scheme.start() : stop].replace("\\/", "/").replace("[/]", "/")
    _take(take, _T.URL, raw, scheme.start(), stop)
    return rest.end()


def _trimmed(text: str, start: int, end: int) -> int:
    """The end of a URL without the sentence's own marks and the brackets that were opened before it."""
    if end - start > 2 * MAX_LENGTH:
        return end
    depth = {
        close: text.count(close, start, end) - text.count(start_, start, end)
        for close, start_ in _CLOSING.items()
    }
    while end > start:
        mark = text[end - 1]
        if mark in depth and depth[mark] > 0:
            depth[mark] -= 1
        elif mark not in ".,:;!?*\u2026":
            break
        end -= 1
    return end


def _colons(text: str, start: int, end: int, take: _Take) -> int:
    """A word before a colon: of an IPv6 or MAC address, a fingerprint, a fuzzy hash, a drive; or just a word."""
    word = text[start:end]
    if (
        word.isdigit()
        and (fuzzy := _SSDEEP.match(text, start))
        and _take(take, _T.SSDEEP, fuzzy[0], *fuzzy.span())
    ):
        return fuzzy.end()
    if text.startswith("\\", end + 1):
        return _backslash(text, start, end, take)
    if len(word) > 4 or not all(digit in "0123456789abcdefABCDEF" for digit in word):
        return _word(text, start, end, take)
    return _colon_run(text, start, take)


def _bare_colons(text: str, _start: int, end: int, take: _Take) -> int:
    return _colon_run(text, end, take)


def _colon_run(text: str, start: int, take: _Take) -> int:
    """Hexadecimal groups between colons. Of a run that is nothing, the last group may begin something else."""
    run = _COLONS.match(text, start)
    if run is None:
        return start + 1
    end = run.end()
    raw = text[start:end].replace("[:]", ":") if end - start < 300 else ""
    if raw.endswith(":") and not raw.endswith("::"):  # the colon of the sentence
        raw, end = raw[:-1], end - (1 if text[end - 1] == ":" else 3)
    groups = raw.split(":")
    if len(groups) in (6, *_FINGERPRINTS) and all(len(group) == 2 for group in groups):
        kind = _FINGERPRINTS.get(len(groups), _T.MAC)
        if _take(take, kind, raw if kind is _T.MAC else "".join(groups), start, end):
            return end
    elif 3 <= len(groups) <= 9 and any(digit.isdigit() for digit in raw):
        prefix = _PREFIX.match(text, end)
        if prefix and _take(take, _T.IPV6, f"{raw}/{prefix[1]}", start, prefix.end()):
            return prefix.end()
        if _take(take, _T.IPV6, raw, start, end):
            return end
    return max(start + 1, text.rfind(":", start, run.end()) + 1)


def _backslash(text: str, start: int, end: int, take: _Take) -> int:
    """A word before a backslash: a registry's hive, or just a word."""
    if not _HIVE.fullmatch(text, start, end) or not (rest := _BACKSLASHED.match(text, end)):
        return _word(text, start, end, take)
    stop = _trimmed(text, end, rest.end())
    key = text[start:stop].replace("\\\\", "\\").replace(":\\", "\\", 1)
    _take(take, _T.REGISTRY_KEY, key, start, stop)
    return rest.end()


_READERS: dict[str, Callable[[str, int, int, _Take], int]] = {
    "word": _word,
    "joined": _joined,
    "scheme": _url,
    "colon": _colons,
    "backslash": _backslash,
    "bare_colons": _bare_colons,
}

ATTACK = {
    "TA": "attack-tactic",
    "T": "attack-technique",
    "S": "attack-software",
    "G": "attack-group",
    "M": "attack-mitigation",
    "C": "attack-campaign",
}
"""Letters of an ATT&CK id -> what it names."""
_ATTACK_ID = re.compile(
    r"(?<![0-9A-Za-z_-])(?:(T)1[0-9]{3}(?:[./][0-9]{3}(?![0-9]))?|(TA)00[0-9]{2}|([SGM])[01][0-9]{3}|(C)00[0-9]{2})"
    r"(?![0-9A-Za-z_-])"
)


def attack_ids(text: str) -> Iterator[Match]:
    """The ATT&CK ids that `text` names, in order of position: no observables, but what a report says about them.

    Sub-techniques are understood as `T1059.001` and, from addresses of ATT&CK's pages, as `T1059/001`.
    """
    for found in _ATTACK_ID.finditer(text):
        letters = found[found.lastindex or 1]
        yield Match(ATTACK[letters], found[0].replace("/", "."), *found.span())

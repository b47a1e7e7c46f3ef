"""Extracts the observables that a report, a page or a mail names, however they are defanged.

A tokenizer walks over the text once. It consumes each token as a whole, whether or not the token is
an observable, and every look beyond a token is bounded: the time is linear in the text's length for
hostile text as well. A match is what `normalise` accepts, except what `extract_noise` recognises.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.stix.addresses import is_ipv4, is_mac, is_serial
from shared.stix.defang import refang
from shared.stix.extract_doubts import (
    CUT,
    broken_word,
    has_ellipsis,
    is_cut,
    sentence_mark,
)
from shared.stix.extract_noise import in_path, no_address, no_name, sentence_end
from shared.stix.names import TOP_LEVEL_DOMAINS
from shared.stix.observable import normalise
from shared.stix.vocabulary import MAX_LENGTH, NotAnObservable, ObservableType
from shared.stix.wallets import is_wallet

_T = ObservableType
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


_AddMatch = Callable[[Match], None]

# Letters of words and labels: ASCII, and those of scripts that put blanks between words. A name
# next to Chinese or Japanese text ends where that begins; names in such scripts match in URLs only.
# A letter that was lost (U+FFFD) belongs to its word, which is then no observable.
_LETTER = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u0386-\u0481\u048a-\u0556\u0561-\u0587"
    "\u05d0-\u05ea\u0620-\u065f\u066e-\u06d3\u0900-\u0963\u0966-\u0dff\u1e00-\u1fff\u2010\u2011"
    "\ufffd\\-"
)
_W = f"0-9_{_LETTER}"
_CJK = "\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
# Marks of defanging: in brackets, with blanks around them as well; one bracket may be missing.
_DOT = (
    r"(?:\.(?:\](?=[a-z0-9]))?+|[ \t]?+(?:"
    r"[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])\\{0,2}+[\])}]{1,3}+|<(?:\.|[dD][oO][tT])>"
    r"|\\{1,2}+[\[({]{1,3}+\\{0,2}+(?:\.|[dD][oO][tT])\\{0,2}+[\])}]{1,3}+)[ \t]?+"
    r"|\[\.(?=[a-z0-9])|\\{1,2}+\.|[\u3002\uff0e\uff61](?=[0-9A-Za-z]))"
)
_AT = r"(?:@|[ \t]?+[\[({]{1,3}+(?:@|[aA][tT])[\])}]{1,3}+[ \t]?+)"
_BLANK_MARK = r"[ \t][\\\[({<](?<=[\[({<])(?:\.|@|[dD][oO][tT]|[aA][tT]|\\)|[ \t]\\{1,2}[\[({]"
_SCHEME_END = r"(?:(?::|[\[({]:[\])}])(?:\\?/|\[/\]){2}|[\[({]:(?:\\?/){2}[\])}])"
_NEXT = re.compile(
    rf"""
    (?: [^{_W}:%]++ | [{_LETTER}]++ (?=[\s,;!?)"'\u2019\u201d]|\.[\s]) (?!{_BLANK_MARK})
      | :(?!:[0-9A-Fa-f]) | %(?![A-Za-z]{{3,20}}%\\) )*+
    (?: (?P<word>(?:[hH]\*\*[pP][sS]?|[{_W}]++))
        (?P<joined>(?:(?:{_DOT}|{_AT}|\+)[{_W}]++)++)?+
        (?: (?P<scheme>{_SCHEME_END}(?=\S))
          | (?(joined)(?!)|(?:(?P<colon>(?=:\S|\[:\])) | (?P<backslash>(?=\\)))) )?+
      | (?P<bare_colons>(?=::)) | (?P<variable>%[A-Za-z]{{3,20}}%) | \Z | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# A URL behind its scheme. It ends before the marks that surround URLs in prose, markup and lists.
# A square bracket belongs to it as a mark of defanging, around an address of IPv6, and as the index
# of a query's field. Any other is markup: `url[text]` in AsciiDoc, `[url text]` in a wiki.
_URL_END = r"\s<>\"'`|^\u2018-\u201f\u00ab\u00bb"
_NEXT_COLUMN = (
    r"[\[({]?(?:h\S\Sp|s?f[tx]p)s?[:\[({]|[0-9a-f]{32,64}+(?![0-9A-Za-z])"
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z.])"
)
"""Behind a comma or semicolon: the list's next address, hash or URL, which ends this URL."""
_URL_REST = re.compile(
    rf"""
    (?: \[[0-9A-Fa-f:.]{{2,45}}+\] )?+
    (?: [^{_URL_END}{_CJK}\\,;\[\].]++ | \.(?:\](?=[a-z0-9]))?+ | \[\.(?=[a-z0-9])
      | \[{{1,3}}+\\?(?:\.|:|/|@|://|dot|at)\]{{1,3}}+ | \[[0-9A-Za-z_.$-]{{0,40}}+\](?=[=&\[])
      | \\(?=[./]) | [,;](?!{_NEXT_COLUMN}) )++
    | [{_CJK}][^{_URL_END}]*+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Behind a name or address without a scheme: a port, and a path that is more than its slash.
_PATH = re.compile(rf"(?::[0-9]{{1,5}}+)?+/[^{_URL_END}{_CJK}\\,;\[\](){{}}]++([\[({{]\.)?+")
_PREFIX = re.compile(rf"(?:/|\[/\])([0-9]{{1,3}}+)(?![{_W}/]|\.[0-9])")
_COLONS = re.compile(
    rf"(?:[0-9A-Fa-f]*+(?::|\[:\]))++[0-9A-Fa-f]*+(?:{_DOT}[0-9]{{1,3}}+)*+(?![{_W}])"
    r"|(?:[0-9A-Fa-f]*+(?::|\[:\]))++"
)
_SSDEEP = re.compile(r"[0-9]{1,10}+:[A-Za-z0-9/+]{6,128}+:[A-Za-z0-9/+]{3,128}+(?![A-Za-z0-9/+:=])")
_HASH = re.compile(r"(?<![0-9A-Za-z])(?:(?:[0-9A-Fa-f]{32}){1,4}+|[0-9A-Fa-f]{40})(?![0-9A-Za-z])")
_HASHES = {32: _T.MD5, 40: _T.SHA1, 64: _T.SHA256, 128: _T.SHA512}
_WORD = re.compile(
    r"([Cc][Vv][Ee]-[12][0-9]{3}-[0-9]{4,19}+)(?![0-9A-Za-z])|(ASN?[1-9][0-9]{0,9}+$)"
    r"|((?:T1)?[0-9A-Fa-f]{70}$)|((?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$)"
)
_WORD_TYPES = (_T.VULNERABILITY, _T.ASN, _T.TLSH, _T.MAC)
_WALLETS = range(25, 107)
"""Lengths of wallet addresses; the check sum decides whether a word of such a length is one."""
_HYPHENS = {0x2010: "-", 0x2011: "-", 0x3002: ".", 0xFF0E: ".", 0xFF61: "."}
"""Hyphens, and the full stops that IDNA takes for dots."""
_FINGERPRINTS = {20: _T.X509_SHA1, 32: _T.X509_SHA256}
"""Only fingerprints of certificates are written as pairs of digits between colons."""
_HIVE = re.compile(r"HK(?:LM|CU|CR|CC|U|EY_[A-Z_]{4,20})", re.IGNORECASE)
# Directories may contain blanks if another backslash follows soon; the last name may not.
_PART = rf"[^\s\\:\"'<>|,;`{_CJK}]"
_BACKSLASHED = re.compile(
    rf":?\\{{1,2}}+{_PART}{{1,255}}+"
    rf"(?:(?:[ ](?!HK){_PART}{{1,64}}+){{0,4}}+\\{{1,2}}+{_PART}{{1,255}}+)*+"
)
_SCHEME = re.compile(r"h\*\*ps?(?=:|[\[({]:)|[A-Za-z][0-9A-Za-z_+-]{0,30}+(?=:|[\[({]:)")
_UNDERSCORED = re.compile(
    r"(?:^|(?<![0-9A-Za-z_]))h[tx*]{2}ps?(?:__(?=[0-9A-Za-z])|:$)", re.IGNORECASE
)
_NETMASK = re.compile(
    r"(?:/|[ \t]{1,4}+(?:(?:net)?mask[ \t:]{1,4}+)?)([0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    r"(?![0-9A-Za-z_/]|\.[0-9])",
    re.IGNORECASE,
)
_BEFORE_MASK = ("/", " 2", " m", " n", "  ", "\t", " M", " N")
_MARKS_OF_CUTS = frozenset("[({<\\. \t\u2026\u2013\u2014")
_CLOSING = {")": "(", "]": "[", "}": "{"}


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


def _try_add(add: _AddMatch, kind: ObservableType, raw: str, start: int, end: int) -> bool:
    """Add a mention if its text is an observable of a type; return whether it is."""
    try:
        value = normalise(kind, raw)
    except NotAnObservable:
        return False
    add(Match(kind, value, start, end))
    return True


def _read_word(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read a word without dots and colons: a hash, CVE id, AS number, or wallet."""
    if end - start < 4:
        return end
    word = text[start:end] if text[start:end].isascii() else text[start:end].translate(_HYPHENS)
    if word.isdigit() and text[max(0, start - 5) : start].rstrip(" :#").endswith("ASN"):
        _try_add(add, _T.ASN, word, start, end)
    elif shape := _WORD.match(word):
        kind = _WORD_TYPES[(shape.lastindex or 1) - 1]
        _try_add(add, kind, shape[0], start, start + shape.end())
    elif end - start in _WALLETS and not _HASH.fullmatch(word) and is_wallet(word):
        _try_add(add, _T.WALLET, word, start, end)
    else:
        _find_hashes(text, start, end, add)
    return end


def _find_hashes(text: str, start: int, end: int, add: _AddMatch) -> None:
    """Find hashes in a word or file name, such as `VirusShare_<md5>` or `<sha256>.exe`."""
    if end - start < 32:
        return
    for piece in _HASH.finditer(text, start, end):
        kind = _HASHES.get(piece.end() - piece.start())
        if kind and len(set(piece[0])) > 4:  # neither zeros nor a filler
            _try_add(add, kind, piece[0], *piece.span())


def _read_joined(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read words joined by dots, at signs or plus signs, defanged or not."""
    while start < end and text[start] == "-":
        start += 1
    last = end
    while last > start and text[last - 1] in "-_":
        last -= 1
    raw = text[start:last]
    if "__" in raw and _lacks_slashes(text, start, raw):
        return _read_scheme(text, start, last, add)
    # Most texts are ASCII, which no letter is foreign to.
    if (" " in raw or "\t" in raw or not text.isascii()) and (
        stop := _read_broken(text, start, end, raw, add)
    ):
        return stop
    plain = refang(raw)
    if not plain.isascii():
        plain = plain.translate(_HYPHENS)
    if "@" in plain:
        return _read_mail(text, start, last, plain, add)
    if "+" in plain:  # a sum of names, or base64
        start = text.rindex("+", start, last) + 1
        raw = text[start:last]
        plain = plain.rpartition("+")[2]
        if "." not in plain:
            return _read_word(text, start, end, add)
    label = plain.rpartition(".")[2]
    if label.isdigit() or (label[:1].isdigit() and "-" in label):
        return _read_address(text, start, last, plain, add)
    return _read_name(text, start, last, plain, add)


def _read_broken(text: str, start: int, end: int, raw: str, add: _AddMatch) -> int:
    """Read joined words that end amid the token, or lack a part; return 0 for all others."""
    if reason := broken_word(text, start, end):
        add(Match(DOUBT, reason, start, end))
        return end
    mark = sentence_mark(raw) if " " in raw or "\t" in raw else None
    if mark is None:
        return 0
    if mark.is_doubtful:
        add(Match(DOUBT, CUT, start, end))
        return end
    _read_joined(text, start, start + mark.start, add)
    return start + mark.end


def _lacks_slashes(text: str, start: int, raw: str) -> bool:
    """Whether a name begins with `http__`, or with `__` behind `http:`."""
    if raw.startswith("__"):
        return _UNDERSCORED.search(text, max(0, start - 7), start) is not None
    return _UNDERSCORED.match(raw) is not None


def _read_scheme(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read a URL whose scheme is written `http__` or `http:__`; its host is no name by itself."""
    raw = text[start:end]
    before = _UNDERSCORED.search(text, max(0, start - 7), start)
    if raw.startswith("__") and before is not None:
        start = before.start()
    path = _PATH.match(text, end)
    stop = _trimmed(text, end, path.end()) if path else end
    _try_add(add, _T.URL, text[start:stop], start, stop)
    return path.end() if path else end


def _read_mail(text: str, start: int, end: int, plain: str, add: _AddMatch) -> int:
    """Read an e-mail address, or the IP address behind a user name."""
    if not _in_dns(plain) or not _try_add(add, _T.EMAIL, plain, start, end):
        name = plain.rpartition("@")[2]
        if is_ipv4(name) and text.endswith(name, start, end):
            return _read_address(text, end - len(name), end, name, add)
    return end


def _read_name(text: str, start: int, end: int, plain: str, add: _AddMatch) -> int:
    """Read a domain name, or with a path behind it a URL."""
    is_in_dns = _in_dns(plain)
    # Most words with a dot are in no suffix: the costly look at what they are comes last.
    if not is_in_dns and not is_mac(plain):
        return _read_shorter(text, start, end, plain, add)
    if plain == text[start:end] and no_name(text, start, end):
        return _read_shorter(text, start, end, plain, add)
    try:
        value = normalise(_T.DOMAIN, plain) if is_in_dns else ""
    except NotAnObservable:
        value = ""
    if value:
        return _read_with_path(text, start, end, Match(_T.DOMAIN, value, start, end), add)
    if is_mac(plain) and _try_add(add, _T.MAC, plain, start, end):
        return end
    return _read_shorter(text, start, end, plain, add)


def _in_dns(name: str) -> bool:
    """Whether a name ends in a public suffix; a tenth of the cost of `normalise`."""
    last = name.rpartition(".")[2]
    return not last.isascii() or last.lower() in TOP_LEVEL_DOMAINS


def _read_shorter(text: str, start: int, end: int, plain: str, add: _AddMatch) -> int:
    """Read what is not a name: it may be a name and the next sentence, or contain hashes."""
    head, _, last = plain.rpartition(".")
    cut = end - len(last) - 1
    if sentence_end(last) and "." in head and text[cut:end] == f".{last}":
        if sentence_end(head.rpartition(".")[2]):
            return end
        return max(end, _read_name(text, start, cut, head, add))
    _find_hashes(text, start, end, add)
    return end


def _read_with_path(text: str, start: int, end: int, host: Match, add: _AddMatch) -> int:
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
    stop = _trimmed(text, end, path.end())
    if has_ellipsis(text, end, stop, path.end()):
        add(Match(DOUBT, CUT, start, path.end()))
        return path.end()
    bare = text[stop - 1] == "/" and text.find("/", end) == stop - 1
    raw = f"{host.value}{text[end:stop]}"
    if bare or len(raw) > MAX_LENGTH or not _try_add(add, _T.URL, raw, start, stop):
        add(host)
    return path.end()


def _read_address(text: str, start: int, end: int, plain: str, add: _AddMatch) -> int:
    """Read an IPv4 address, a network, a range, or with a path behind it a URL."""
    if not is_ipv4(plain):
        _read_range(start, end, plain, add)
        return end
    is_version = len(plain) == end - start and no_address(text, start)
    # No host has the address of a mask.
    if is_version or plain.startswith(("0.", "255.")):
        return end
    if prefix := _PREFIX.match(text, end):
        # A prefix that is none makes neither an address nor a path.
        _try_add(add, _T.IPV4, f"{plain}/{prefix[1]}", start, prefix.end())
        return prefix.end()
    is_before_mask = text.startswith(_BEFORE_MASK, end)
    if is_before_mask and (mask := _NETMASK.match(text, end)):
        if _try_add(add, _T.IPV4, f"{plain}/{mask[1]}", start, mask.end()):
            return mask.end()
        if text[end] == "/":
            add(Match(DOUBT, CUT, start, mask.end()))
            return mask.end()
    return _read_host(text, start, end, plain, add)


def _read_host(text: str, start: int, end: int, plain: str, add: _AddMatch) -> int:
    """Read an IPv4 address, or with a path behind it a URL."""
    try:
        host = Match(_T.IPV4, normalise(_T.IPV4, plain), start, end)
    except NotAnObservable:
        return end
    return _read_with_path(text, start, end, host, add)


def _read_range(start: int, end: int, plain: str, add: _AddMatch) -> None:
    """Read addresses between hyphens; of `192.0.2.0-255` the first alone is not what is named."""
    pieces = plain.split("-")
    if len(plain) != end - start or not is_ipv4(pieces[0]):
        return
    if not all(map(is_ipv4, pieces)):
        add(Match(DOUBT, CUT, start, end))
        return
    at = start
    for piece in pieces:
        _try_add(add, _T.IPV4, piece, at, at + len(piece))
        at += len(piece) + 1


def _read_url(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read a URL with its scheme: `start` begins the word before the colon, `end` follows `//`."""
    rest = _URL_REST.match(text, end)
    if rest is None:
        return end
    if rest.end() - start > 2 * MAX_LENGTH:
        return rest.end()
    scheme = _SCHEME.search(text, max(start, end - 40), end)
    if scheme is None:
        return rest.end()
    stop = _trimmed(text, end, rest.end())
    raw = text[scheme.start() : stop].replace("\\/", "/")
    if "\ufffd" in raw or has_ellipsis(text, end, stop, rest.end()):
        reason = "not UTF-8" if "\ufffd" in raw else CUT
        add(Match(DOUBT, reason, scheme.start(), rest.end()))
        return rest.end()
    _try_add(add, _T.URL, raw, scheme.start(), stop)
    return rest.end()


def _trimmed(text: str, start: int, end: int) -> int:
    """Return the end of a URL without the sentence's marks and brackets opened before it."""
    if end - start > 2 * MAX_LENGTH:
        return end
    depth = {
        closing: text.count(closing, start, end) - text.count(opening, start, end)
        for closing, opening in _CLOSING.items()
    }
    while end > start:
        mark = text[end - 1]
        if mark in depth and depth[mark] > 0:
            depth[mark] -= 1
        elif mark not in ".,:;!?*\u2026":
            break
        end -= 1
    return end


def _read_colons(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read a word before a colon: of an address, a fingerprint, a fuzzy hash, a drive, or none."""
    word = text[start:end]
    if (
        word.isdigit()
        and (fuzzy := _SSDEEP.match(text, start))
        and _try_add(add, _T.SSDEEP, fuzzy[0], *fuzzy.span())
    ):
        return fuzzy.end()
    if text.startswith("\\", end + 1):
        return _read_backslash(text, start, end, add)
    if len(word) > 4 or not all(digit in "0123456789abcdefABCDEF" for digit in word):
        return _read_word(text, start, end, add)
    return _read_colon_run(text, start, add)


def _read_bare_colons(text: str, _start: int, end: int, add: _AddMatch) -> int:
    return _read_colon_run(text, end, add)


def _read_colon_run(text: str, start: int, add: _AddMatch) -> int:
    """Read hexadecimal groups between colons; if none match, go on with the last group."""
    run = _COLONS.match(text, start)
    if run is None:
        return start + 1
    end = run.end()
    raw = text[start:end].replace("[:]", ":") if end - start < 300 else ""
    if raw.endswith(":") and not raw.endswith("::"):  # the colon of the sentence
        raw = raw[:-1]
        end -= 1 if text[end - 1] == ":" else 3
    groups = raw.split(":")
    if len(groups) in (6, *_FINGERPRINTS) and all(len(group) == 2 for group in groups):
        kind = _FINGERPRINTS.get(len(groups), _T.MAC)
        if _try_add(add, kind, raw if kind is _T.MAC else "".join(groups), start, end):
            return end
    elif not is_serial(raw) and 3 <= len(groups) <= 9 and any(map(str.isdigit, raw)):
        prefix = _PREFIX.match(text, end)
        if prefix and _try_add(add, _T.IPV6, f"{raw}/{prefix[1]}", start, prefix.end()):
            return prefix.end()
        if _try_add(add, _T.IPV6, raw, start, end):
            return end
    return max(start + 1, text.rfind(":", start, run.end()) + 1)


def _read_backslash(text: str, start: int, end: int, add: _AddMatch) -> int:
    """Read a word before a backslash: a hive of the registry, or just a word."""
    if not _HIVE.fullmatch(text, start, end) or not (rest := _BACKSLASHED.match(text, end)):
        return _read_word(text, start, end, add)
    stop = _trimmed(text, end, rest.end())
    key = text[start:stop].replace("\\\\", "\\").replace(":\\", "\\", 1)
    _try_add(add, _T.REGISTRY_KEY, key, start, stop)
    return rest.end()


_READERS: dict[str, Callable[[str, int, int, _AddMatch], int]] = {
    "word": _read_word,
    "joined": _read_joined,
    "scheme": _read_url,
    "colon": _read_colons,
    "backslash": _read_backslash,
    "bare_colons": _read_bare_colons,
}

ATTACK = {
    "TA": "attack-tactic",
    "T": "attack-technique",
    "S": "attack-software",
    "G": "attack-group",
    "M": "attack-mitigation",
    "C": "attack-campaign",
}
"""Types by the letters of an ATT&CK id."""
_ATTACK_ID = re.compile(
    r"(?<![0-9A-Za-z_-])(?:(T)1[0-9]{3}(?:[./][0-9]{3}(?![0-9]))?|(TA)00[0-9]{2}"
    r"|([SGM])[01][0-9]{3}|(C)00[0-9]{2})(?![0-9A-Za-z_-])"
)


def attack_ids(text: str) -> Iterator[Match]:
    """Extract the ATT&CK ids that a text names, in order of position.

    Sub-techniques are written `T1059.001` or, in URLs of ATT&CK's pages, `T1059/001`.
    """
    for mention in _ATTACK_ID.finditer(text):
        letters = mention[mention.lastindex or 1]
        yield Match(ATTACK[letters], mention[0].replace("/", "."), *mention.span())

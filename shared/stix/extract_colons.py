"""Reads words of prose before a colon or backslash: IPv6, fingerprints, registry keys."""

import re

from shared.stix.addresses import is_serial
from shared.stix.extract_matches import CJK, DOT, PREFIX, WORD_SIGNS, AddMatch, try_add
from shared.stix.extract_urls import trimmed
from shared.stix.extract_words import read_word
from shared.stix.vocabulary import ObservableType

_T = ObservableType

_COLONS = re.compile(
    rf"(?:[0-9A-Fa-f]*+(?::|\[:\]))++[0-9A-Fa-f]*+(?:{DOT}[0-9]{{1,3}}+)*+(?![{WORD_SIGNS}])"
    r"|(?:[0-9A-Fa-f]*+(?::|\[:\]))++"
)
_SSDEEP = re.compile(r"[0-9]{1,10}+:[A-Za-z0-9/+]{6,128}+:[A-Za-z0-9/+]{3,128}+(?![A-Za-z0-9/+:=])")
_FINGERPRINTS = {20: _T.X509_SHA1, 32: _T.X509_SHA256}
"""Only fingerprints of certificates are written as pairs of digits between colons."""
_HIVE = re.compile(r"HK(?:LM|CU|CR|CC|U|EY_[A-Z_]{4,20})", re.IGNORECASE)
# Directories may contain blanks if another backslash follows soon; the last name may not.
_PART = rf"[^\s\\:\"'<>|,;`{CJK}]"
_BACKSLASHED = re.compile(
    rf":?\\{{1,2}}+{_PART}{{1,255}}+"
    rf"(?:(?:[ ](?!HK){_PART}{{1,64}}+){{0,4}}+\\{{1,2}}+{_PART}{{1,255}}+)*+"
)


def read_colons(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read a word before a colon: of an address, a fingerprint, a fuzzy hash, a drive, or none."""
    word = text[start:end]
    if (
        word.isdigit()
        and (fuzzy := _SSDEEP.match(text, start))
        and try_add(add, _T.SSDEEP, fuzzy[0], *fuzzy.span())
    ):
        return fuzzy.end()
    if text.startswith("\\", end + 1):
        return read_backslash(text, start, end, add)
    if len(word) > 4 or not all(digit in "0123456789abcdefABCDEF" for digit in word):
        return read_word(text, start, end, add)
    return _read_colon_run(text, start, add)


def read_bare_colons(text: str, _start: int, end: int, add: AddMatch) -> int:
    """Read what begins with two colons: the end of an address of IPv6, or none."""
    return _read_colon_run(text, end, add)


def _read_colon_run(text: str, start: int, add: AddMatch) -> int:
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
        if try_add(add, kind, raw if kind is _T.MAC else "".join(groups), start, end):
            return end
    elif not is_serial(raw) and 3 <= len(groups) <= 9 and any(map(str.isdigit, raw)):
        prefix = PREFIX.match(text, end)
        if prefix and try_add(add, _T.IPV6, f"{raw}/{prefix[1]}", start, prefix.end()):
            return prefix.end()
        if try_add(add, _T.IPV6, raw, start, end):
            return end
    return max(start + 1, text.rfind(":", start, run.end()) + 1)


def read_backslash(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read a word before a backslash: a hive of the registry, or just a word."""
    if not _HIVE.fullmatch(text, start, end) or not (rest := _BACKSLASHED.match(text, end)):
        return read_word(text, start, end, add)
    stop = trimmed(text, end, rest.end())
    key = text[start:stop].replace("\\\\", "\\").replace(":\\", "\\", 1)
    try_add(add, _T.REGISTRY_KEY, key, start, stop)
    return rest.end()

"""Reads words of prose without dots and colons: hashes, CVE ids, AS numbers, wallets."""

import re

from shared.stix.extract_matches import AddMatch, try_add
from shared.stix.vocabulary import ObservableType
from shared.stix.wallets import is_wallet

_T = ObservableType

HASH = re.compile(r"(?<![0-9A-Za-z])(?:(?:[0-9A-Fa-f]{32}){1,4}+|[0-9A-Fa-f]{40})(?![0-9A-Za-z])")
_HASHES = {32: _T.MD5, 40: _T.SHA1, 64: _T.SHA256, 128: _T.SHA512}
_WORD = re.compile(
    r"([Cc][Vv][Ee]-[12][0-9]{3}-[0-9]{4,19}+)(?![0-9A-Za-z])|(ASN?[1-9][0-9]{0,9}+$)"
    r"|((?:T1)?[0-9A-Fa-f]{70}$)|((?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$)"
)
_WORD_TYPES = (_T.VULNERABILITY, _T.ASN, _T.TLSH, _T.MAC)
_WALLETS = range(25, 107)
"""Lengths of wallet addresses; the check sum decides whether a word of such a length is one."""
HYPHENS = {0x2010: "-", 0x2011: "-", 0x3002: ".", 0xFF0E: ".", 0xFF61: "."}
"""Hyphens, and the full stops that IDNA takes for dots."""


def read_word(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read a word without dots and colons: a hash, CVE id, AS number, or wallet."""
    if end - start < 4:
        return end
    word = text[start:end] if text[start:end].isascii() else text[start:end].translate(HYPHENS)
    if word.isdigit() and text[max(0, start - 5) : start].rstrip(" :#").endswith("ASN"):
        try_add(add, _T.ASN, word, start, end)
    elif shape := _WORD.match(word):
        kind = _WORD_TYPES[(shape.lastindex or 1) - 1]
        try_add(add, kind, shape[0], start, start + shape.end())
    elif end - start in _WALLETS and not HASH.fullmatch(word) and is_wallet(word):
        try_add(add, _T.WALLET, word, start, end)
    else:
        find_hashes(text, start, end, add)
    return end


def find_hashes(text: str, start: int, end: int, add: AddMatch) -> None:
    """Find hashes in a word or file name, such as `VirusShare_<md5>` or `<sha256>.exe`."""
    if end - start < 32:
        return
    for piece in HASH.finditer(text, start, end):
        kind = _HASHES.get(piece.end() - piece.start())
        if kind and len(set(piece[0])) > 4:  # neither zeros nor a filler
            try_add(add, kind, piece[0], *piece.span())

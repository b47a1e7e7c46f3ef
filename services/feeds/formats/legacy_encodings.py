"""Encodings of texts that are not in Unicode, told by the letters within their words.

A wrong guess would make other names of the names in a text. So it is only made where the letters of
one encoding stand where letters do, and those of others would not.
"""

import re
from typing import Final

_WESTERN: Final = frozenset("äöüßÄÖÜéèêëàâáãåçñóòôõíîïúùûøæÉÈÊÀÁÂÃÅÇÑÓÔÕÍÎÚØÆ".encode("cp1252"))
_DOS: Final = frozenset("äöüßÄÖÜéèêëàâáåçñóòôíîïúùûÉÅÇÑæÆ".encode("cp850"))
_CENTRAL: Final = (frozenset("õû".encode("cp1252")), frozenset("öü".encode("cp1252")))
"""Together they are the letters of Hungarian, which has another encoding."""

_WITHIN_WORD: Final = re.compile(rb"(?<=[A-Za-z])[\x80-\xff](?=[A-Za-z])")
_AT_WORD: Final = re.compile(
    rb"(?<=[A-Za-z])[\x80-\xff](?![\x80-\xff])|(?<![\x80-\xff])[\x80-\xff](?=[A-Za-z])"
)
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_RUNS: Final = re.compile(rb"[\x80-\xff]{3,}")
_UTF8: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_KANA: Final = re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]")
_MIN_KANA: Final = 3
_NAMES: Final = {"cp1252": "windows-1252", "cp850": "code page 850", "cp932": "Shift JIS"}


def guess_legacy_encoding(head: bytes) -> str | None:
    """The codec of a text by its first bytes, which are no UTF-8; None if they do not tell it."""
    if len(_KANA.findall(head)) >= _MIN_KANA and _is_shift_jis(head):
        return "cp932"
    if _UTF8.search(head) or _RUNS.search(head):
        return None  # UTF-8 with a fault, or a script whose words have no letters of ASCII
    letters = frozenset(b"".join(_WITHIN_WORD.findall(head)))
    if len(letters) == 1:
        return None  # one letter is no evidence of the others
    if letters:
        if letters <= _WESTERN and not all(not letters.isdisjoint(some) for some in _CENTRAL):
            return "cp1252"
        return "cp850" if letters <= _DOS and min(letters) < 0xA6 else None
    at_words = frozenset(b"".join(_AT_WORD.findall(head)))
    is_western = len(at_words) > 1 and at_words <= _WESTERN
    return "cp1252" if is_western and frozenset(b"".join(_HIGH.findall(head))) <= at_words else None


def encoding_note(codec: str) -> str:
    """What a reader should know of the guess."""
    return f"the text is not UTF-8: by its letters it is read as {_NAMES[codec]}"


def _is_shift_jis(head: bytes) -> bool:
    """Whether some bytes are Shift JIS; the last letter may be cut."""
    for end in (len(head), len(head) - 1):
        try:
            head[:end].decode("cp932")
        except UnicodeDecodeError:
            continue
        return True
    return False

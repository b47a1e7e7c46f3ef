"""Reads words of prose that dots, at signs or plus signs join: names, e-mail and IP addresses."""

from shared.stix.addresses import is_ipv4, is_mac
from shared.stix.defang import refang
from shared.stix.extract_addresses import read_address
from shared.stix.extract_doubts import CUT, broken_word, sentence_mark
from shared.stix.extract_matches import DOUBT, AddMatch, Match, try_add
from shared.stix.extract_noise import no_name, sentence_end
from shared.stix.extract_urls import lacks_slashes, read_scheme, read_with_path
from shared.stix.extract_words import HYPHENS, find_hashes, read_word
from shared.stix.names import TOP_LEVEL_DOMAINS
from shared.stix.observable import normalise
from shared.stix.vocabulary import NotAnObservable, ObservableType

_T = ObservableType
_WORDS = frozenset((
    "am", "an", "as", "at", "be", "by", "do", "for", "go", "in", "is", "it", "me", "my", "no",
    "now", "of", "on", "one", "or", "so", "the", "to", "us", "was", "we",
))  # fmt: skip
"""English words, which behind the word DOT need be no last label."""


def read_joined(text: str, start: int, end: int, add: AddMatch) -> int:
    """Read words joined by dots, at signs or plus signs, defanged or not."""
    word = text[start:end].lstrip("-")
    start = end - len(word)
    raw = word.rstrip("-_")
    last = start + len(raw)
    if "__" in raw and lacks_slashes(text, start, raw):
        return read_scheme(text, start, last, add)
    has_blank = " " in raw or "\t" in raw
    # Most texts are ASCII, which no letter is foreign to, and in others most words are.
    if has_blank or not (text.isascii() or _is_between_ascii(text, start, end, raw)):
        if stop := _read_broken(text, start, end, raw, add):
            return stop
        raw = raw.replace(" DOT ", ".")
    plain = refang(raw)
    if not plain.isascii():
        plain = plain.translate(HYPHENS)
    if "@" in plain:
        return _read_mail(text, start, last, plain, add)
    if "+" in plain:  # a sum of names, or base64
        start = text.rindex("+", start, last) + 1
        raw = text[start:last]
        plain = plain.rpartition("+")[2]
        if "." not in plain:
            return read_word(text, start, end, add)
    label = plain.rpartition(".")[2]
    if label.isdigit() or (label[:1].isdigit() and "-" in label):
        return read_address(text, start, last, plain, add)
    return _read_name(text, start, last, plain, add)


def _is_between_ascii(text: str, start: int, end: int, raw: str) -> bool:
    """Whether a word and the signs beside it are ASCII, and it is no end of another."""
    before = text[start - 1 : start]
    is_plain = raw.isascii() and before.isascii() and text[end : end + 1].isascii()
    return is_plain and before != "."


def _read_broken(text: str, start: int, end: int, raw: str, add: AddMatch) -> int:
    """Read joined words that end amid the token, or lack a part; return 0 for all others."""
    if reason := broken_word(text, start, end):
        add(Match(DOUBT, reason, start, end))
        return end
    head, is_spelled, last = raw.rpartition(" DOT ")
    if is_spelled and (last in _WORDS or is_ipv4(refang(head))):
        # `the DOT in Ohio` names nobody; of `one.example DOT in` the end is in doubt.
        if "." in head:
            add(Match(DOUBT, CUT, start, end))
        return end
    mark = sentence_mark(raw) if " " in raw or "\t" in raw else None
    if mark is None:
        return 0
    if mark.is_doubtful:
        add(Match(DOUBT, CUT, start, end))
        return end
    read_joined(text, start, start + mark.start, add)
    return start + mark.end


def _read_mail(text: str, start: int, end: int, plain: str, add: AddMatch) -> int:
    """Read an e-mail address, or the IP address behind a user name."""
    if not _in_dns(plain) or not try_add(add, _T.EMAIL, plain, start, end):
        name = plain.rpartition("@")[2]
        if is_ipv4(name) and text.endswith(name, start, end):
            return read_address(text, end - len(name), end, name, add)
    return end


def _read_name(text: str, start: int, end: int, plain: str, add: AddMatch) -> int:
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
        return read_with_path(text, start, end, Match(_T.DOMAIN, value, start, end), add)
    if is_mac(plain) and try_add(add, _T.MAC, plain, start, end):
        return end
    return _read_shorter(text, start, end, plain, add)


def _in_dns(name: str) -> bool:
    """Whether a name ends in a public suffix; a tenth of the cost of `normalise`."""
    last = name.rpartition(".")[2]
    return not last.isascii() or last.lower() in TOP_LEVEL_DOMAINS


def _read_shorter(text: str, start: int, end: int, plain: str, add: AddMatch) -> int:
    """Read what is not a name: it may be a name and the next sentence, or contain hashes."""
    head, _, last = plain.rpartition(".")
    cut = end - len(last) - 1
    if sentence_end(last) and "." in head and text[cut:end] == f".{last}":
        if sentence_end(head.rpartition(".")[2]):
            return end
        return max(end, _read_name(text, start, cut, head, add))
    find_hashes(text, start, end, add)
    return end

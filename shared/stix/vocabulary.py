"""Observables: their types and canonical values, and the error for texts that are none."""

import re
from enum import StrEnum

import msgspec

MAX_LENGTH = 8192
"""Characters of a value. Longer texts are not examined, so that hostile lines cost little."""

# NUL breaks PostgreSQL's text, surrogates break UTF-8, U+FFFD comes from a wrong encoding.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd\ufeff]")


class ObservableType(StrEnum):
    """The types of observables: names of STIX objects where there is one, `file-…` for hashes."""

    IPV4 = "ipv4-addr"
    IPV6 = "ipv6-addr"
    DOMAIN = "domain-name"
    URL = "url"
    EMAIL = "email-addr"
    MAC = "mac-addr"
    ASN = "autonomous-system"
    MD5 = "file-md5"
    SHA1 = "file-sha1"
    SHA256 = "file-sha256"
    SHA512 = "file-sha512"
    SSDEEP = "file-ssdeep"
    TLSH = "file-tlsh"
    IMPHASH = "file-imphash"
    FILE_NAME = "file-name"
    FILE_PATH = "file-path"
    X509_SHA1 = "x509-sha1"
    X509_SHA256 = "x509-sha256"
    VULNERABILITY = "vulnerability"
    REGISTRY_KEY = "windows-registry-key"
    MUTEX = "mutex"
    JA3 = "ja3"
    JA4 = "ja4"
    USER_AGENT = "user-agent"
    WALLET = "cryptocurrency-wallet"


class Observable(msgspec.Struct, frozen=True, gc=False):
    """A type and a value in the type's canonical form."""

    type: ObservableType
    value: str


class NotAnObservable(ValueError):
    """The text is not an observable, or not of the given type.

    Attributes:
        reason: a short stable code, for counters, such as "not a public suffix".
        detail: a sentence for people; quotes at most 80 characters of the text.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def excerpt(text: str) -> str:
    """Return at most 80 characters of a text, printable, for a message."""
    cut = text[:80]
    return cut if cut.isprintable() else ascii(cut)[1:-1][:80]


def clean_token(raw: str) -> str:
    """Strip white space, and refuse texts that no observable can have.

    Raises:
        NotAnObservable: empty, longer than `MAX_LENGTH`, or with characters that cannot be stored.
    """
    if len(raw) > MAX_LENGTH:
        raise NotAnObservable(
            "too long", f"{len(raw)} characters, at most {MAX_LENGTH} are looked at"
        )
    token = raw.strip()
    if not token:
        raise NotAnObservable("empty")
    if not (token.isascii() and token.isprintable()) and (match := _UNUSABLE.search(token)):
        reason = "not UTF-8" if match[0] == "\ufffd" else "control character"
        raise NotAnObservable(reason, f"U+{ord(match[0]):04X} at character {match.start() + 1}")
    return token

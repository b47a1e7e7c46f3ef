"""What an observable is: its type, its canonical value, and why a text is none."""

import re
from enum import StrEnum

import msgspec

MAX_LENGTH = 8192
"""Characters. Nothing longer is looked at, so that a hostile line costs no more than a long one."""

# NUL breaks PostgreSQL's text, surrogates break UTF-8, U+FFFD is what a wrong encoding leaves behind.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd\ufeff]")


class ObservableType(StrEnum):
    """The types SentinelIQ stores. Names of STIX objects where STIX has one, `file-…` for each hash."""

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
    """A type and a value in that type's one canonical form."""

    type: ObservableType
    value: str


class NotAnObservable(ValueError):
    """The text is none of our observables, or not of the asked type.

    Attributes:
        reason: a short stable code to count by, such as "not a public suffix".
        detail: one sentence for people; quotes at most 80 characters of the text.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def excerpt(text: str) -> str:
    """At most 80 characters of `text`, printable, for a message."""
    cut = text[:80]
    return cut if cut.isprintable() else ascii(cut)[1:-1][:80]


def clean_token(raw: str) -> str:
    """`raw` without the white space around it; refused when no observable could ever look like that.

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
    if not (token.isascii() and token.isprintable()) and (found := _UNUSABLE.search(token)):
        reason = "not UTF-8" if found.group() == "\ufffd" else "control character"
        raise NotAnObservable(
            reason, f"U+{ord(found.group()):04X} at character {found.start() + 1}"
        )
    return token

"""What a request must look like before anything is done for it.

Two programs that read one request differently are how requests are smuggled and paths disguised.
The gateway refuses every form of which there are two readings, and passes on what it has read, in
its own words.
"""

import re
from typing import Final

from shared.errors import SentinelIQError

MAX_TOKEN_BYTES: Final = 8 * 1024
"""The longest value of `Authorization`."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"origin",
        b"range",
        b"transfer-encoding",
    }
)
"""Headers that a request has once at most: two of them have two readings."""
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,:@=-]|%[0-9A-Fa-f]{2})*)+")
_DISGUISED: Final = re.compile(
    r"//|/\.{1,2}(?:/|$)|%(?:2e|2f|5c|3b|7f|25(?:2e|2f|5c|00)|[01][0-9a-f])", re.IGNORECASE
)
"""Empty and dot segments, and what an encoding hides: dots, slashes, `;`, control characters."""
_QUERY: Final = re.compile(rb"[\x21\x22\x24-\x7e]*")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_NAME: Final = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_DIGITS: Final = re.compile(rb"[0-9]{1,15}")


class MalformedRequest(SentinelIQError):
    """The request has no reading, or more than one; `reason` counts it."""

    status = 400
    code = "bad-request"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


Headers = list[tuple[bytes, bytes]]


def check_request(
    method: str, path: bytes, query: bytes, headers: Headers, version: str
) -> dict[bytes, bytes]:
    """Check the head of a request; return its headers by name, the last of each.

    Args:
        method: as the request names it.
        path: as the request names it, still encoded.
        query: what follows the path's question mark.
        headers: with names in lower case.
        version: of HTTP: `1.1` or `1.0`.

    Raises:
        MalformedRequest: it has no reading, or more than one.
    """
    if method not in METHODS:
        raise MalformedRequest(f"The methods are {', '.join(sorted(METHODS))}.", "method")
    if version not in ("1.0", "1.1"):
        raise MalformedRequest("The gateway speaks HTTP/1.1.", "version")
    check_path(path, query)
    by_name = _check_headers(headers)
    _check_host(by_name, version)
    _check_length(method, by_name, version)
    return by_name


def check_path(path: bytes, query: bytes) -> None:
    """Refuse a path that different programs resolve differently.

    Raises:
        MalformedRequest: it has an empty segment, a dot segment, `;`, an encoded slash, or a
            character that no path has.
    """
    text = path.decode("latin-1")
    if not _PATH.fullmatch(text) or _DISGUISED.search(text):
        raise MalformedRequest(
            "A path has no empty segments, no dot segments, no ';', and encodes neither dots nor "
            "slashes.",
            "path",
        )
    if not _QUERY.fullmatch(query):
        raise MalformedRequest("The query has a character that must be encoded.", "query")


def _check_headers(headers: Headers) -> dict[bytes, bytes]:
    by_name: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in by_name and name in _SINGLE:
            shown = name.decode("latin-1")
            raise MalformedRequest(f"The header {shown} stands there twice.", "header-twice")
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise MalformedRequest("A header has a character that none may have.", "header")
        by_name[name] = value
    return by_name


def _check_host(headers: dict[bytes, bytes], version: str) -> None:
    host = headers.get(b"host")
    if host is None and version == "1.0":
        return
    if host is None or not _HOST.fullmatch(host):
        raise MalformedRequest("The request names no host.", "host")


def _check_length(method: str, headers: dict[bytes, bytes], version: str) -> None:
    """Refuse every body whose end is not told in exactly one way."""
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked" or version == "1.0" or length is not None:
            raise MalformedRequest(
                "A body has a Content-Length, or is sent in chunks of HTTP/1.1; not both.",
                "framing",
            )
    elif length is not None:
        if not _DIGITS.fullmatch(length):
            raise MalformedRequest("Content-Length is a number of bytes.", "framing")
    elif b"content-type" in headers and method in ("POST", "PUT", "PATCH"):
        raise MalformedRequest(
            "The request announces a body and does not tell its length.", "framing"
        )
    if b"expect" in headers and headers[b"expect"].lower() != b"100-continue":
        raise MalformedRequest("Expect can be 100-continue, and nothing else.", "expect")

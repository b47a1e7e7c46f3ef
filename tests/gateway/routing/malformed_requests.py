"""Requests that have no reading, or more than one: thousands, made from a seed.

Each is bytes for a socket, with whether anything of it may reach a service at all.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

CANARY = "/api/feeds/v1/smuggled"
"""The path of the request that is hidden in others. It must never arrive."""


class MalformedRequest(NamedTuple):
    """Bytes to send.

    Attributes:
        name: of the family.
        data: the bytes.
    """

    name: str
    data: bytes


_PATHS = (
    "/api/feeds//v1/echo",
    "//api/feeds/v1/echo",
    "/api//feeds/v1/echo",
    "/api/feeds/v1/../echo",
    "/api/feeds/../mitre/v1/echo",
    "/api/feeds/./v1/echo",
    "/api/feeds/v1/%2e%2e/echo",
    "/api/feeds/v1/%2E%2e/%2e./echo",
    "/api/feeds/v1/.%2e/echo",
    "/api/feeds/v1/echo;x=1",
    "/api/feeds;/v1/echo",
    "/api/feeds/v1%2fecho",
    "/api/feeds%2Fv1/echo",
    "/api/feeds/v1/%5c..%5cecho",
    "/api/feeds/v1/\\..\\echo",
    "/api/feeds/v1/%252e%252e/echo",
    "/api/feeds/v1/%252fecho",
    "/api/feeds/v1/echo%00",
    "/api/feeds/v1/echo%0d%0aX:1",
    "/api/feeds/v1/%3b/echo",
    "/api/feeds/v1/%zz",
    "/api/feeds/v1/%",
    "/api/feeds/v1/\xe9",
    "/api/feeds/v1/a b",
    "/api/feeds/v1/a\tb",
    "/api/feeds/v1/echo#x",
    "api/feeds/v1/echo",
    "http://x/api/feeds/v1/echo",
    "*",
    "",
    "/api/feeds/v1/echo?x=\x01",
    "/api/feeds/v1/echo?x=\xff",
    "/api/feeds/v1/..",
    "/api/feeds/v1/<x>",
    "/api/feeds/v1/{x}",
    "/api/feeds/v1/|",
    '/api/feeds/v1/"',
)
_HEADERS = (
    "Host: x\r\nHost: x",
    "Host: x, y",
    "Host: x/y",
    "Host: x@y",
    "Host:",
    "Host: x\r\nAuthorization: Bearer a",
    "Host: x\r\nContent-Type: a/b\r\nContent-Type: c/d",
    "Host : x",
    " Host: x",
    "Host: x\r\n folded: 1",
    "Host: x\r\nX\x00: 1",
    "Host: x\r\nX: a\x00b",
    "Host: x\r\nX: a\rb",
    "Host: x\r\nX: a\nb",
    "Host: x\r\nX: a\x0bb",
    "Host: x\r\nX(: 1",
    "Host: x\r\n: 1",
    "Host: x\r\nno colon",
    "Host: x\r\nExpect: 200-ok",
    "Host: x\r\nCookie: a=b\r\nCookie: c=d",
    "Host: x\r\nOrigin: null\r\nOrigin: https://x",
    "Host: x\r\nX: " + "a" * 20_000,
    "Host: x\r\n" + "\r\n".join(f"X{n}: 1" for n in range(120)),
)
_FRAMINGS = (
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 50",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: ",
    "Content-Length: 99999999999999999999",
    "Content-Length : 5",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "Transfer-Encoding: \x00chunked",
    "Content-Length: 5\r\nTransfer-Encoding: cow",
    "Content-Length: 5\r\nTransfer_Encoding: chunked\r\nContent-Length: 6",
    "Content-Type: application/json",
)
_CHUNKS = (
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5 \x00\r\nhello\r\n0\r\n\r\n",
    b"zz\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhell\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n\n",
)
_LINES = (
    "GET {path}",
    "GET {path} HTTP/1.1 x",
    "GET {path} HTTP/9.9",
    "GET {path} HTTP/1.2",
    "GET {path} HTTP/0.9",
    "GET {path} XTTP/1.1",
    "GET\t{path}\tHTTP/1.1",
    "get {path} HTTP/1.1",
    "G\x00T {path} HTTP/1.1",
    "TRACE {path} HTTP/1.1",
    "CONNECT x:1 HTTP/1.1",
    "PRI * HTTP/2.0",
    "PROPFIND {path} HTTP/1.1",
    " GET {path} HTTP/1.1",
)


def malformed_requests(token: str, count: int, seed: int) -> Iterator[MalformedRequest]:
    """So many requests, every family in turn, with varied surroundings."""
    source = random.Random(seed)  # noqa: S311  # the same requests each time
    families = (_bad_path, _bad_header, _bad_framing, _bad_chunk, _bad_line, _bad_token, _broken)
    for number in range(count):
        family = families[number % len(families)]
        yield MalformedRequest(family.__name__.lstrip("_"), family(source, token))


def _smuggled(token: str) -> bytes:
    return f"GET {CANARY} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def _common(source: random.Random, token: str) -> str:
    """Headers that a request may well have, in any order and spelling."""
    headers = [
        f"{source.choice(['Authorization', 'authorization', 'AUTHORIZATION'])}: Bearer {token}",
        *source.sample(
            ["Accept: */*", "User-Agent: t", "X-A: 1", "Connection: keep-alive", "Prefer: x"], 2
        ),
    ]
    source.shuffle(headers)
    return "\r\n".join(headers)


def _bad_path(source: random.Random, token: str) -> bytes:
    path = source.choice(_PATHS)
    text = f"GET {path} HTTP/1.1\r\nHost: x\r\n{_common(source, token)}\r\n\r\n"
    return text.encode("latin-1")


def _bad_header(source: random.Random, token: str) -> bytes:
    header = source.choice(_HEADERS)
    common = _common(source, token)
    if header.startswith("Host: x\r\nAuthorization"):
        header = header.replace("Bearer a", f"Bearer {token}")
    parts = [header, common]
    text = "\r\n".join(parts)
    return f"GET /api/feeds/v1/echo HTTP/1.1\r\n{text}\r\n\r\n".encode("latin-1")


def _bad_framing(source: random.Random, token: str) -> bytes:
    framing = source.choice(_FRAMINGS)
    method = source.choice(["POST", "PUT", "PATCH"])
    version = source.choice(["1.1", "1.1", "1.0"])
    text = f"{method} /api/feeds/v1/echo HTTP/{version}\r\nHost: x\r\n{_common(source, token)}"
    body = source.choice([b"hello", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"])
    return f"{text}\r\n{framing}\r\n\r\n".encode("latin-1") + body + _smuggled(token)


def _bad_chunk(source: random.Random, token: str) -> bytes:
    text = f"POST /api/feeds/v1/whole HTTP/1.1\r\nHost: x\r\n{_common(source, token)}"
    chunks = source.choice(_CHUNKS)
    head = f"{text}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + chunks + _smuggled(token)


def _bad_line(source: random.Random, token: str) -> bytes:
    line = source.choice(_LINES).format(path="/api/feeds/v1/echo")
    return f"{line}\r\nHost: x\r\n{_common(source, token)}\r\n\r\n".encode("latin-1")


def _bad_token(source: random.Random, token: str) -> bytes:
    spoiled = source.choice(
        [
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {token}x",
            f"Bearer {token[:-2]}",
            f"Bearer {token} {token}",
            f"Bearer  {token}",
            f"Bearer {'a' * 9000}",
            f"Bearer {token}{'.e30' * 2000}",
            "Bearer " + ".".join(["eyJhbGciOiJub25lIn0"] * 3),
            f"Basic {token}",
            f"Bearer {token},{token}",
            "Bearer \xff\xfe",
        ]
    )
    text = f"GET /api/feeds/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {spoiled}\r\n\r\n"
    return text.encode("latin-1")


def _broken(source: random.Random, token: str) -> bytes:
    """A good request of which some bytes were changed into those that no request has."""
    text = f"GET /api/feeds/v1/echo HTTP/1.1\r\nHost: x\r\n{_common(source, token)}"
    data = bytearray(text.encode())
    end = data.index(b"\r\n")
    for _ in range(source.randint(1, 4)):
        data[source.randrange(end)] = source.choice([0, 1, 9, 11, 12, 127, 128, 255])
    return bytes(data) + b"\r\n\r\n"

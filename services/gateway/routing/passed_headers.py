"""Which headers pass the gateway, in both directions.

A request's headers pass by a list: what no service reads goes no further, so that no client can
speak with the gateway's voice about its address, its scheme or its identity.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

Headers = list[tuple[bytes, bytes]]

PASSED: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"content-language",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-event-id",
        b"prefer",
        b"range",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    }
)
"""The headers of a request that a service may read. The gateway writes the others itself:
`Authorization`, `Host`, the framing of the body, `X-Forwarded-*` and `Via`."""
PASSED_WITH_CREDENTIALS: Final = PASSED | {b"x-api-key"}
"""To protocols whose clients know other credentials than ours, which the service judges."""
PASSED_TO_FLOWER: Final = PASSED | {b"x-requested-with"}

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OF_THE_GATEWAY: Final = frozenset({b"date", b"server", b"via", b"set-cookie", b"alt-svc"})
"""Headers of an answer that the gateway's own server writes, or that no service may set."""
_CROSS_ORIGIN: Final = b"access-control-"
FLOWER_POLICY: Final = (
    b"content-security-policy",
    (
        b"default-src 'self'; script-src 'self' 'unsafe-inline'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
)
"""Flower's pages have scripts within them."""
_DEFAULT_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"

SECURITY_HEADERS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")


def named_by_connection(headers: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """The headers that `Connection` names: they are for this hop alone."""
    value = headers.get(b"connection")
    if value is None:
        return frozenset()
    return frozenset(part.strip().lower() for part in value.split(b","))


def passed_request_headers(
    headers: Headers, hop: frozenset[bytes], passed: frozenset[bytes] = PASSED
) -> Iterator[tuple[bytes, bytes]]:
    """The headers of a request that go on to a service.

    Args:
        headers: with names in lower case.
        hop: those that `Connection` names.
        passed: the list.
    """
    for name, value in headers:
        if name in passed and name not in hop:
            yield name, value


def passed_response_headers(headers: Headers, own: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a service's answer that go on to the client, with those of the gateway.

    Args:
        headers: of the service, with names in lower case.
        own: of the gateway; they replace those of the service.
    """
    connection = b",".join(value for name, value in headers if name == b"connection")
    dropped = _HOP_BY_HOP | _OF_THE_GATEWAY
    if connection:
        dropped |= {part.strip().lower() for part in connection.split(b",")}
    added = list(own)
    dropped |= {name for name, _ in added}
    result = [
        (name, value)
        for name, value in headers
        if name not in dropped and not name.startswith(_CROSS_ORIGIN)
    ]
    if not any(name == b"content-security-policy" for name, _ in result):
        result.append((b"content-security-policy", _DEFAULT_POLICY))
    return result + added

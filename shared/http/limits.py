"""Limits of time and bytes of an outbound request."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one exchange, redirects included.

    Attributes:
        connect: seconds for resolving and connecting, and again for the TLS handshake.
        total: seconds from the call to the last byte.
        head: seconds from the call to the head of the response; None: as many as `total`.
        max_bytes: bytes received in the body, before decoding.
        max_expanded: bytes after decoding.
        ratio: expanded bytes per received byte, checked beyond 1 MiB of expanded bytes.
        redirects: hops that are followed; with 0 a redirect is returned like any answer.
    """

    connect: float = 5.0
    total: float = 60.0
    max_bytes: int = 256 * MIB
    max_expanded: int = 2 * GIB
    ratio: int = 200
    redirects: int = 3
    head: float | None = None

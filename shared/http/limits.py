"""How much time and how many bytes a request may take."""

from dataclasses import dataclass

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one exchange, redirects included.

    Attributes:
        connect: seconds for resolving and connecting, and again for the TLS handshake.
        total: seconds from the call to the last byte.
        max_bytes: bytes received in the body, before decoding.
        max_expanded: bytes after decoding.
        ratio: expanded bytes per received byte, looked at once more than 1 MiB has come out.
        redirects: hops followed; with 0 a redirect is an answer like any other.
    """

    connect: float = 5.0
    total: float = 60.0
    max_bytes: int = 256 * MIB
    max_expanded: int = 2 * GIB
    ratio: int = 200
    redirects: int = 3

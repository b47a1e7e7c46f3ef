"""The connections of an API: how many there may be, and which one ends for a new one.

A connection is a stranger until a request on it carries a valid token. When there is no room, the
oldest stranger ends: whoever sends a token at once finds room, however many others hold
connections without saying anything.
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

from prometheus_client import Counter

CONNECTIONS_ENDED: Final = Counter(
    "sentineliq_http_connections_ended_total",
    "Connections that an API ended or refused before they had sent a valid token.",
    ["reason"],
)

MAX_UNFINISHED_BYTES: Final = 4 * 1024 * 1024
"""Bytes of request heads that have not come to their end, of all connections together."""

_IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that tell peers apart: a host has all addresses of its network."""


class Connection(Protocol):
    """A connection that the table may end."""

    def end(self) -> None:
        """End it at once, without an answer."""

    def check_time(self, now: float) -> None:
        """End it if its request, or the reading of its answer, takes too long."""


def peer_name(address: str | None) -> str:
    """Return what stands for a peer: its IPv4 address, its network of IPv6, or nothing."""
    if address is None or ":" not in address:
        return address or ""
    address = address.partition("%")[0]
    mapped = ip_address(address).ipv4_mapped  # type: ignore[union-attr]  # it is of version 6
    return str(mapped or ip_network((address, _IPV6_PREFIX), strict=False))


class ConnectionTable:
    """All connections of a server.

    Args:
        limit: of all connections.
        limit_per_peer: of the connections of one address. A proxy is one peer.
    """

    def __init__(self, limit: int, limit_per_peer: int) -> None:
        self.unfinished_bytes = 0
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._peers: dict[Connection, str] = {}
        self._counts: dict[str, int] = {}
        # Dictionaries keep the order of insertion: the oldest comes first.
        self._strangers: dict[Connection, None] = {}
        self._strangers_by_peer: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._peers))

    def admit(self, connection: Connection, peer: str) -> bool:
        """Add a connection; return False when all others of the full table have shown a token."""
        if self._counts.get(peer, 0) >= self._limit_per_peer:
            if not self._end_oldest(self._strangers_by_peer.get(peer, {})):
                return False
        elif len(self._peers) >= self._limit and not self._end_oldest(self._strangers):
            return False
        self._peers[connection] = peer
        self._counts[peer] = self._counts.get(peer, 0) + 1
        self._strangers[connection] = None
        self._strangers_by_peer.setdefault(peer, {})[connection] = None
        return True

    def trust(self, connection: Connection) -> None:
        """Note that a connection has carried a valid token: no stranger takes its place."""
        self._forget_stranger(connection, self._peers.get(connection, ""))

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended; once more does nothing."""
        peer = self._peers.pop(connection, None)
        if peer is None:
            return
        self._forget_stranger(connection, peer)
        self._counts[peer] -= 1
        if not self._counts[peer]:
            del self._counts[peer]

    def _forget_stranger(self, connection: Connection, peer: str) -> None:
        self._strangers.pop(connection, None)
        strangers = self._strangers_by_peer.get(peer)
        if strangers is None:
            return
        strangers.pop(connection, None)
        if not strangers:
            del self._strangers_by_peer[peer]

    def _end_oldest(self, strangers: dict[Connection, None]) -> bool:
        oldest = next(iter(strangers), None)
        if oldest is None:
            CONNECTIONS_ENDED.labels("full").inc()
            return False
        self.remove(oldest)
        CONNECTIONS_ENDED.labels("displaced").inc()
        oldest.end()
        return True

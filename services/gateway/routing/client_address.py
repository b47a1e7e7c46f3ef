"""The address of a client, and the scheme it used, behind proxies that are trusted by name."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from services.gateway.routing.request_check import MalformedRequest

Network = IPv4Network | IPv6Network


class ClientPlace(NamedTuple):
    """Where a request comes from.

    Attributes:
        address: of the client.
        scheme: that the client used.
        is_proxied: whether a trusted proxy has said so.
    """

    address: str
    scheme: str
    is_proxied: bool = False


def client_place(
    peer: str, scheme: str, headers: Mapping[bytes, bytes], proxies: Sequence[Network]
) -> ClientPlace:
    """Find where a request comes from.

    `X-Forwarded-For` is read from its end: the last address that is no trusted proxy is the client.
    Of a peer that is not trusted nothing is believed.

    Args:
        peer: the address of the connection's other end.
        scheme: of the connection.
        headers: of the request, by name.
        proxies: the networks of trusted proxies.

    Raises:
        MalformedRequest: a trusted proxy sends no address where one belongs.
    """
    if not proxies or not _is_trusted(_address(peer), proxies):
        return ClientPlace(peer, scheme)
    forwarded = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
    scheme = forwarded if forwarded in ("http", "https") else scheme
    parts = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    client = peer
    for part in reversed([part.strip() for part in parts if part.strip()]):
        address = _address(part)
        if address is None:
            raise MalformedRequest("X-Forwarded-For has a part that is no address.", "forwarded")
        client = str(address)
        if not _is_trusted(address, proxies):
            break
    return ClientPlace(client, scheme, is_proxied=True)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: IPv4Address | IPv6Address | None, proxies: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in proxies)

"""The policy of outbound addresses, as pure functions of parsed URLs and addresses.

A URL is parsed once, by the WHATWG rules; the host that is vetted is the host that is connected to.
Sources: the IANA special-purpose address registries (RFC 6890), RFC 4291, RFC 6052, RFC 5214.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

import ada_url

from shared.http.errors import ForbiddenTarget

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_PORTS = frozenset({80, 443, 8080, 8443})

# `ipaddress.is_global` changed between patch releases, and multicast is global for it.
_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT, and a cloud's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's host agent, public only by number
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
# Global unicast: excludes ::1, link-local, private, multicast, IPv4-mapped and NAT64 addresses.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo and other protocol assignments
            "2001:db8::/32",
            "2002::/16",  # 6to4 carries any IPv4 address
            "3fff::/20",
        ),
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def is_public(address: Address) -> bool:
    """Whether an address is public, and so is any address that it embeds."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address not in _GLOBAL_UNICAST or any(address in network for network in _NOT_PUBLIC_V6):
        return False
    return int(address) >> 32 & 0xFFFFFFFF not in _ISATAP


def is_public_network(network: Network) -> bool:
    """Whether every address of a network is public."""
    if isinstance(network, IPv4Network):
        return not any(network.overlaps(other) for other in _NOT_PUBLIC_V4)
    if not network.subnet_of(_GLOBAL_UNICAST) or any(
        network.overlaps(other) for other in _NOT_PUBLIC_V6
    ):
        return False
    return is_public(network.network_address) and is_public(network.broadcast_address)


def _is_local(address: Address) -> bool:
    """Whether an address leads to this machine or its link, also as an IPv4 address in IPv6."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    plain = mapped or address
    return plain.is_loopback or plain.is_link_local or plain.is_unspecified


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed http or https URL; `host` is in its canonical form, without brackets."""

    scheme: str
    host: str
    port: int
    url: str = field(repr=False)
    path: str = field(repr=False)
    """Path and query, as they are sent."""
    authority: str = field(repr=False)
    """The value of the Host header."""

    @classmethod
    def parse(cls, url: str, base: "Target | None" = None) -> Self:
        """Parse a URL, or a reference relative to `base`.

        Raises:
            ForbiddenTarget: it is no URL, not http or https, or has a user or password.
        """
        try:
            parsed = ada_url.URL(url, base.url if base else None)
        except ValueError:
            raise ForbiddenTarget("this is not a valid URL") from None
        scheme = parsed.protocol.rstrip(":")
        if scheme not in ("http", "https"):
            raise ForbiddenTarget("only http and https URLs can be fetched")
        if parsed.username or parsed.password:
            raise ForbiddenTarget(
                "a URL must not contain a user or password; store them as credentials"
            )
        parsed.hash = ""
        port = int(parsed.port) if parsed.port else {"http": 80, "https": 443}[scheme]
        path = parsed.pathname + parsed.search
        return cls(scheme, parsed.hostname.strip("[]"), port, parsed.href, path, parsed.host)

    @property
    def origin(self) -> str:
        """Scheme, host and port: the parts of a URL that may appear in logs and messages."""
        return f"{self.scheme}://{self.authority}"


@lru_cache(maxsize=4096)
def origin_of(url: str | None) -> str:
    """Return the origin of an address that a secret belongs to; empty without an address.

    An address that cannot be fetched as it stands, such as one with a date in its host, has
    everything before its path as its origin.
    """
    if not url:
        return ""
    try:
        return Target.parse(url).origin
    except ForbiddenTarget:
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}".lower()


@dataclass(frozen=True, slots=True)
class OutboundGrant:
    """What an operator lets a tenant reach beyond the public internet.

    Attributes:
        network: addresses; None for a name.
        host: a name, in its canonical form; empty for a network.
        port: the only one; None for any.
    """

    network: Network | None
    host: str = ""
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `10.1.0.0/16`, `10.1.0.7:8443`, `[fd00::/8]:443` or `siem.example:443`.

        Raises:
            ValueError: it is none of these.
        """
        place, separator, port = text.strip().rpartition(":")
        is_bare = not separator or "]" in port or (":" in place and not place.endswith("]"))
        if is_bare:
            place = text.strip()
        number = None if is_bare else int(port)
        if number is not None and not 1 <= number <= 65_535:
            raise ValueError(f"{text} names no port")
        place = place.strip("[]")
        try:
            return cls(ip_network(place), port=number)
        except ValueError:
            if "/" in place or not place:
                raise
        return cls(None, Target.parse(f"http://{place}/").host, number)

    def text(self) -> str:
        """The grant as `parse` reads it."""
        place = self.host if self.network is None else str(self.network)
        if self.port is None:
            return place
        return f"[{place}]:{self.port}" if ":" in place else f"{place}:{self.port}"

    def covers(self, host: str, port: int, address: Address) -> bool:
        """Whether an address of a host may be reached on a port."""
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            # Who answers for the name would reach this machine and the cloud's metadata by it.
            return host.lower() == self.host and not _is_local(address)
        return address in self.network


Allowance = Network | OutboundGrant
"""What may be reached although it is not public."""


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Allows public addresses on `ports`, and what `allow` names: a network on any port."""

    allow: tuple[Allowance, ...] = ()
    ports: frozenset[int] = DEFAULT_PORTS

    def vet(self, host: str, port: int, addresses: Sequence[str]) -> list[Address]:
        """Parse the addresses of a host and check that all may be reached on a port.

        Raises:
            ForbiddenTarget: one may not. The message does not contain the address of a name, which
                would disclose internal DNS.
        """
        vetted = [ip_address(address) for address in addresses]
        others = [address for address in vetted if not self._is_exception(host, port, address)]
        if not all(is_public(address) for address in others):
            raise ForbiddenTarget(
                f"{host} is, or resolves to, an address outside the public internet; "
                "an operator can allow it in SENTINELIQ_OUTBOUND_ALLOW, or to a tenant in "
                "SENTINELIQ_OUTBOUND_GRANTS",
                host=host,
            )
        if port not in self.ports and others:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise ForbiddenTarget(
                f"port {port} of {host} may not be reached; allowed are {ports}", host=host
            )
        return vetted

    def _is_exception(self, host: str, port: int, address: Address) -> bool:
        return any(
            allowance.covers(host, port, address)
            if isinstance(allowance, OutboundGrant)
            else address in allowance
            for allowance in self.allow
        )

"""What filters test of texts beyond Python's own methods: networks, domains."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Network

from shared.filters.conditions import Network


def network_test(network: Network) -> Callable[[str], bool]:
    """The test whether a text is an address, or a network, inside a network."""
    is_ipv4 = isinstance(network, IPv4Network)
    family = socket.AF_INET if is_ipv4 else socket.AF_INET6
    bits = network.max_prefixlen
    shift = bits - network.prefixlen
    expected = int(network.network_address) >> shift
    mark = "." if is_ipv4 else ":"

    def is_within(text: str) -> bool:
        if mark not in text:
            return False
        address, slash, prefix = text.partition("/")
        if slash and not (prefix.isdecimal() and network.prefixlen <= int(prefix[:4]) <= bits):
            return False
        try:
            packed = socket.inet_pton(family, address)
        except (OSError, ValueError):
            return False
        return int.from_bytes(packed) >> shift == expected

    return is_within


def domain_test(domain: str) -> Callable[[str], bool]:
    """The test whether a name, or the host of a URL or an address, is a domain or below it."""
    below = f".{domain}"

    def is_under(text: str) -> bool:
        # Most texts are told apart without a look for their host.
        if domain not in text.lower():
            return False
        name = host_of(text)
        return name == domain or name.endswith(below)

    return is_under


def domains_above(text: str) -> list[str]:
    """All domains that a text is under: `a.example.com`, `example.com`, `com`."""
    name = host_of(text)
    domains = [name]
    while (dot := name.find(".")) >= 0:
        name = name[dot + 1 :]
        domains.append(name)
    return domains


def host_of(text: str) -> str:
    """The host of a URL, the domain of an e-mail address; any other text as it is."""
    _, separator, rest = text.partition("://")
    if not separator:
        return text.rpartition("@")[2].rstrip(".").lower()
    authority = rest
    for end in "/?#":
        authority = authority.partition(end)[0]
    host = authority.rpartition("@")[2]
    if not host.startswith("["):
        host = host.partition(":")[0]
    return host.rstrip(".").lower()

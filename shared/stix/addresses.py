"""Canonical IPv4 and IPv6 addresses and networks, MAC addresses and AS numbers.

`inet_pton` decides whether a text is an address: strict dotted decimal (no octal, no short forms),
and four times as fast as the module `ipaddress`.
"""

import re
from socket import AF_INET, AF_INET6, AddressFamily, inet_ntop, inet_pton

from shared.stix.vocabulary import NotAnObservable, excerpt

_ASN = re.compile(r"asn?[ \t]{0,2}0{0,9}([1-9][0-9]{0,9})", re.IGNORECASE | re.ASCII)
_MAC = re.compile(
    r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}",
    re.IGNORECASE | re.ASCII,
)
_SERIAL = re.compile("[0-9a-f]{2}(?::[0-9a-f]{2}){7}", re.IGNORECASE)
_PADDED = re.compile(r"[0-2][0-9]{2}(?:\.[0-2][0-9]{2}){3}", re.ASCII)
_ZONE = re.compile(r"%[A-Za-z0-9._-]{1,64}(?=\]?$)", re.ASCII)
_MAPPED = "::ffff:"
_MAPPED_LOOPBACK = "::ffff:127."


def is_ipv4(text: str) -> bool:
    """Whether `text` is a plain IPv4 address in its only canonical form."""
    try:
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def is_dotted(text: str) -> bool:
    """Whether `text` is an IPv4 address, plain or with its numbers padded to three digits."""
    return is_ipv4(text) or bool(_PADDED.fullmatch(text))


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address, bare or in brackets."""
    if ":" not in text:
        return False
    if "%" in text:
        text = _ZONE.sub("", text)
    try:
        inet_pton(AF_INET6, text.removeprefix("[").removesuffix("]"))
    except (OSError, ValueError):
        return False
    return True


def is_serial(text: str) -> bool:
    """Whether a text is eight pairs of digits between colons: a serial number, not an address."""
    return len(text) == 23 and bool(_SERIAL.fullmatch(text))


def is_mac(text: str) -> bool:
    """Whether `text` is a MAC address in one of its usual forms."""
    return bool(_MAC.fullmatch(text))


def check_ipv4(address: str) -> str:
    """Return a canonical IPv4 address, unless it is of no use.

    Raises:
        NotAnObservable: it is 0.0.0.0 or in 127.0.0.0/8. Private and documentation ranges are
            accepted: a finding inside an organisation's own network is a finding.
    """
    if address.startswith("127."):
        raise NotAnObservable("loopback address", address)
    if address == "0.0.0.0":  # noqa: S104  # compared, never bound
        raise NotAnObservable("unspecified address", address)
    return address


def ipv4(text: str) -> str:
    """Return the canonical address, or for a prefix shorter than /32 the network.

    `198.51.100.7/24` is an address with the length of its network, as interfaces are written: it
    is the address. The prefix may be a netmask (`/255.255.255.0`). An address whose numbers are
    all padded to three digits is decimal: `198.051.100.007`. Other leading zeros may mean octal,
    and are refused.

    Raises:
        NotAnObservable: not strict dotted decimal, a wrong prefix, loopback or unspecified.
    """
    address, slash, prefix = text.partition("/")
    if not is_ipv4(address):
        if not _PADDED.fullmatch(address):
            raise NotAnObservable("malformed IPv4 address", excerpt(text))
        address = ".".join(str(int(part)) for part in address.split("."))
        if not is_ipv4(address):
            raise NotAnObservable("malformed IPv4 address", excerpt(text))
    if "." in prefix:
        prefix = _prefix_of_netmask(prefix)
    return check_ipv4(_network(AF_INET, address, prefix) if slash else address)


def _prefix_of_netmask(netmask: str) -> str:
    """The prefix that a netmask stands for; a netmask that is none comes back as it is."""
    if not is_ipv4(netmask):
        return netmask
    bits = f"{int.from_bytes(inet_pton(AF_INET, netmask)):032b}"
    return netmask if "01" in bits else str(bits.count("1"))


def ipv6(text: str) -> str:
    """Return the canonical (RFC 5952) address, or for a prefix below /128 the network.

    The zone of an address (`fe80::1%eth0`) says something about one host, and is dropped.

    Raises:
        NotAnObservable: malformed, a wrong prefix, loopback or unspecified.
    """
    address, slash, prefix = text.partition("/")
    address = _ZONE.sub("", address)
    try:
        address = inet_ntop(
            AF_INET6, inet_pton(AF_INET6, address.removeprefix("[").removesuffix("]"))
        )
    except (OSError, ValueError):
        raise NotAnObservable("malformed IPv6 address", excerpt(text)) from None
    if slash:
        address = _network(AF_INET6, address, prefix)
    if address == "::1" or address.startswith(_MAPPED_LOOPBACK):
        raise NotAnObservable("loopback address", address)
    if address == "::":
        raise NotAnObservable("unspecified address", address)
    return address


def _network(family: AddressFamily, address: str, prefix: str) -> str:
    packed = inet_pton(family, address)
    bits = len(packed) * 8
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and int(prefix) <= bits):
        raise NotAnObservable(
            "malformed network", f"prefix {excerpt(prefix)!r}, 0 to {bits} expected"
        )
    length = int(prefix)
    if length == bits:
        return address
    start = int.from_bytes(packed) >> (bits - length) << (bits - length)
    if not start:
        raise NotAnObservable("unspecified address", f"{address}/{length}")
    if start != int.from_bytes(packed):
        return address  # a network has no host bits: this is a host, and a host it stays
    return f"{inet_ntop(family, start.to_bytes(len(packed)))}/{length}"


def mapped_ipv4(address: str) -> str | None:
    """The IPv4 address that a canonical IPv6 address stands for (RFC 4291 §2.5.5.2), or None."""
    if not address.startswith(_MAPPED) or not is_ipv4(address.removeprefix(_MAPPED)):
        return None
    return address.removeprefix(_MAPPED)


def mac(text: str) -> str:
    """Return the canonical MAC address: lower case, colons instead of hyphens or Cisco's dots."""
    if not _MAC.fullmatch(text):
        raise NotAnObservable("malformed MAC address", excerpt(text))
    digits = re.sub("[:.-]", "", text.lower())
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def asn(text: str) -> str:
    """Return the canonical AS number: `AS64500` for "as64500", "ASN 64500" or "64500".

    Raises:
        NotAnObservable: not a number from 1 to 4294967295.
    """
    match = _ASN.fullmatch(text if text[:1] in "aA" else f"AS{text}")
    if not match or int(match[1]) > 0xFFFFFFFF:
        raise NotAnObservable("malformed AS number", excerpt(text))
    return f"AS{match[1]}"

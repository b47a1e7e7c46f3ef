"""What a device may take a value for that is of another type. No I/O.

A line of a file has no type: a firewall takes a mutex that is named `0.0.0.0/0` for a network. The
readings are wider than the store's, since devices accept more than what is canonical: short forms
of addresses, ranges, netmasks, ports, wildcards, trailing dots, and more fields behind the first.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network, summarize_address_range
from socket import inet_aton, inet_ntoa
from typing import Final
from unicodedata import normalize

from shared.stix import NotAnObservable, normalise
from shared.stix.names import TOP_LEVEL_DOMAINS, URL_SCHEME

RESERVED_NAMES: Final = frozenset({"localhost", "local", "internal", "invalid", "onion", "arpa"})
"""Top-level names that no one registers; `arpa` has the names of addresses."""

DISTINCT: Final = frozenset(
    {
        "ipv4-addr",
        "ipv6-addr",
        "domain-name",
        "url",
        "email-addr",
        "mac-addr",
        "autonomous-system",
        "file-md5",
        "file-sha1",
        "file-sha256",
        "file-sha512",
        "file-ssdeep",
        "file-tlsh",
        "file-imphash",
        "x509-sha1",
        "x509-sha256",
        "vulnerability",
        "windows-registry-key",
        "ja3",
        "ja4",
        "cryptocurrency-wallet",
    }
)
"""Types whose values have a form that no address, name or URL of another type has."""
_SEPARATOR: Final = re.compile(r"[\s,;#|\"'<>]+")
_SHORT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})\.?(/[0-9]{1,2})", re.ASCII)
_NUMBERS: Final = re.compile(r"[0-9][0-9a-fx]*(?:\.[0-9a-fx]+)+", re.ASCII)
_PORT: Final = re.compile(r"([^:]+):[0-9]{1,5}", re.ASCII)
_FIELD_LENGTH: Final = 4_096
"""Characters that are looked at."""

Readings = tuple[tuple[str, str], ...]
"""Types and values."""


def readings_of(type_: str, value: str) -> Readings:
    """What a reader of addresses, names or URLs may take a value for, besides what it is."""
    if type_ in DISTINCT:
        return ()
    fields = _SEPARATOR.split(normalize("NFKC", value[:_FIELD_LENGTH]).strip(" \t,;#|\"'<>"), 1)
    field = fields[0]
    if not field:
        return ()
    networks = tuple(("ipv4-addr", text) for text in _networks(field))
    if networks:
        return networks
    return tuple(_names(field))


def _networks(field: str) -> Iterator[str]:
    """The networks that a field stands for, in their canonical form."""
    text = field.strip("[]()").rstrip(".").lower()
    port = _PORT.fullmatch(text)
    if port:
        text = port[1]
    network = _network(text)
    if network:
        yield network
        return
    first, dash, last = text.partition("-")
    if not dash:
        return
    try:
        ends = (ip_address(first), ip_address(last))
        yield from map(str, summarize_address_range(*ends))
    except (TypeError, ValueError):
        return


def _network(text: str) -> str | None:
    short = _SHORT.fullmatch(text)
    if short:
        numbers = short[1].split(".")
        text = ".".join([*numbers, *["0"] * (4 - len(numbers))]) + short[2]
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        pass
    if not _NUMBERS.fullmatch(text):
        return None
    try:
        return inet_ntoa(inet_aton(text))
    except OSError:
        return None


def _names(field: str) -> Iterator[tuple[str, str]]:
    """The name, URL or address of mail that a field stands for."""
    if URL_SCHEME.match(field) or field.startswith("//"):
        yield "url", _canonical("url", field.removeprefix("//")) or field
        return
    head = re.split(r"[/?]", field, maxsplit=1)[0]
    if head != field:
        if "." in head and _host_type(head):
            yield "url", _canonical("url", field) or f"http://{head}/"
        return
    local, at, host = field.rpartition("@")
    name = _name(host)
    if name and _host_type(host):
        yield ("email-addr", f"{local}@{name}") if at and local else ("domain-name", name)


def _host_type(head: str) -> str | None:
    """The type of the host that stands at the beginning of an address; None if it is none."""
    host = head.rpartition("@")[2]
    port = _PORT.fullmatch(host)
    host = port[1] if port else host
    if _network(host.strip("[]")):
        return "ipv4-addr"
    label = _name(host).rpartition(".")[2]
    return "domain-name" if label in TOP_LEVEL_DOMAINS or label in RESERVED_NAMES else None


def _name(host: str) -> str:
    """A name without port, wildcard and trailing dots; canonical where it can be."""
    port = _PORT.fullmatch(host)
    name = (port[1] if port else host).lower().strip(".*^")
    return _canonical("domain-name", name) or name


def _canonical(type_: str, text: str) -> str | None:
    try:
        return normalise(type_, text)
    except NotAnObservable:
        return None

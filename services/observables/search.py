"""The order observables are searched in: what belongs together stands together.

A host name is turned around (`com.example.login`), an address becomes hexadecimal digits, and URLs and e-mail addresses
follow the key of their host, in the manner of the SURT keys of web archives. So a domain with all below it, a network
with all in it, and a host with its URLs are each one or two ranges of one index.
"""

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

from shared.errors import InvalidInput
from shared.stix import NotAnObservable, detect

_LENGTH: Final = 250
"""Characters of a key; an entry of an index may not be much longer."""

_PATH: Final = re.compile("[/?#]")
_LAST: Final = "\U0010ffff"


class Range(NamedTuple):
    """Keys from `low` up to, and without, `high`."""

    low: str
    high: str


def key_of(type_: str, value: str) -> str:
    """The search key of a canonical value."""
    match type_:
        case "ipv4-addr" | "ipv6-addr":
            return _address(value)
        case "domain-name":
            return _name(value)[:_LENGTH]
        case "url":
            host, rest = _split_url(value)
            return f"{_host(host)}/{rest}"[:_LENGTH]
        case "email-addr":
            local, _, domain = value.rpartition("@")
            return f"{_name(domain)}@{local}"[:_LENGTH]
    return value[:_LENGTH]


def prefix_of(type_: str, value: str) -> int | None:
    """The prefix length of a network, None of anything else."""
    if type_ not in {"ipv4-addr", "ipv6-addr"}:
        return None
    _, slash, length = value.partition("/")
    return int(length) if slash else None


def _name(name: str) -> str:
    return ".".join(name.split(".")[::-1])


def _address(value: str) -> str:
    address, slash, length = value.partition("/")
    six = ":" in address
    digits = inet_pton(AF_INET6 if six else AF_INET, address).hex()
    # `=` can start neither a name nor a hash, and keeps addresses apart from hashes that begin like them.
    return f"={6 if six else 4}{digits}{slash}{length}"


def _split_url(url: str) -> tuple[str, str]:
    """The host, and what follows it (a port included)."""
    rest = url.partition("://")[2]
    found = _PATH.search(rest)
    end = found.start() if found else len(rest)
    authority, path = rest[:end], rest[end:].removeprefix("/")
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return host, f":{port}/{path}" if port else path


def host_of(url: str) -> str:
    """The host of a canonical URL: a name or an address without brackets."""
    return _split_url(url)[0]


def _host(host: str) -> str:
    if ":" in host or host.replace(".", "").isdigit():
        try:
            return _address(host)
        except OSError:
            return host
    return _name(host)


def under(text: str) -> list[Range]:
    """Where everything below a domain, a network, an address, a URL's path or a text's beginning stands.

    Raises:
        InvalidInput: the text is empty or has characters that no value has.
    """
    try:
        found = detect(text)
    except NotAnObservable as error:
        if not text.strip() or not text.isprintable() or len(text) > _LENGTH:
            raise InvalidInput(f"Nothing can begin like that: {error}", field="under") from None
        return [Range(text, text + _LAST)]
    key = key_of(found.type, found.value)
    match found.type:
        case "domain-name":
            # The name itself, names and URLs below it (`.` and `/` are neighbours), and addresses of e-mail at it.
            return [Range(key, key + "!"), Range(key + ".", key + "0"), Range(key + "@", key + "A")]
        case "ipv4-addr" | "ipv6-addr":
            return [_network(key)]
    return [Range(key, key + _LAST)]


def _network(key: str) -> Range:
    digits, slash, length = key[2:].partition("/")
    if not slash:
        return Range(key, key + _LAST)
    bits = len(digits) * 4
    last = int(digits, 16) | ((1 << (bits - int(length))) - 1)
    return Range(key[:2] + digits, f"{key[:2]}{last:0{len(digits)}x}{_LAST}")

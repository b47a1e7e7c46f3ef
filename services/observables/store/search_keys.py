"""Keys to search by: they put observables that belong together next to each other.

A host name is turned around (`com.example.login`), an address becomes hexadecimal digits, and URLs
and e-mail addresses follow the key of their host, in the manner of the SURT keys of web archives.
So a domain with all below it, a network with all in it, and a host with its URLs are each one or
two ranges of one index.
"""

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

from shared.errors import InvalidInput
from shared.stix import NotAnObservable, detect

_LENGTH: Final = 250
"""Characters of a key; an entry of an index may not be much longer."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_PATH: Final = re.compile("[/?#]")
_LAST: Final = "\U0010ffff"


class Range(NamedTuple):
    """Keys from `low` up to, and without, `high`."""

    low: str
    high: str


def key_of(type_: str, value: str) -> str:
    """The search key of a canonical value."""
    if type_ in _ADDRESSES:
        return _address(value)
    match type_:
        case "domain-name":
            return _name(value)[:_LENGTH]
        case "url":
            host, rest = split_url(value)
            return f"{_host(host)}/{rest}"[:_LENGTH]
        case "email-addr":
            local, _, domain = value.rpartition("@")
            return f"{_name(domain)}@{local}"[:_LENGTH]
    return value[:_LENGTH]


def prefix_of(type_: str, value: str) -> int | None:
    """The prefix length of a network, None of anything else."""
    if type_ not in _ADDRESSES or "/" not in value:
        return None
    return int(value.partition("/")[2])


def _name(name: str) -> str:
    return ".".join(name.split(".")[::-1])


def _address(value: str) -> str:
    # `=` starts neither a name nor a hash: it keeps addresses apart from hashes that begin alike.
    if ":" not in value and "/" not in value:
        return f"=4{inet_pton(AF_INET, value).hex()}"
    address, slash, length = value.partition("/")
    six = ":" in address
    digits = inet_pton(AF_INET6 if six else AF_INET, address).hex()
    return f"={6 if six else 4}{digits}{slash}{length}"


def split_url(url: str) -> tuple[str, str]:
    """The host, and what follows it (a port included)."""
    rest = url.partition("://")[2]
    match = _PATH.search(rest)
    end = match.start() if match else len(rest)
    path = rest[end:].removeprefix("/")
    authority = rest[:end].rpartition("@")[2]
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return host, f":{port}/{path}" if port else path


def host_of(url: str) -> str:
    """The host of a canonical URL: a name or an address without brackets."""
    return split_url(url)[0]


def _host(host: str) -> str:
    if ":" in host or host.replace(".", "").isdigit():
        try:
            return _address(host)
        except OSError:
            return host
    return _name(host)


_EXPRESSION: Final = re.compile(r"^\^|\.\*|\.\+$|^\*|(?<!\\)\*$|^\(\?")


def check_literal(text: str, field: str) -> None:
    """Refuse a text that is meant as a pattern: an empty answer would look as if all were well.

    Raises:
        InvalidInput: the text is a regular expression, has wildcards, or has a NUL character.
    """
    if "\0" in text:
        raise InvalidInput(f"{field} has a NUL character, which no value has.", field=field)
    if _EXPRESSION.search(text):
        raise InvalidInput(
            f"{field} is a plain text: regular expressions and wildcards are not supported.",
            field=field,
        )


def under(text: str) -> list[Range]:
    """The keys of all below a domain, a network, an address, a URL's path or a beginning.

    Raises:
        InvalidInput: the text is empty or has characters that no value has.
    """
    try:
        observable = detect(text)
    except NotAnObservable as error:
        if not text.strip() or not text.isprintable() or len(text) > _LENGTH:
            raise InvalidInput(f"No value begins like that: {error}", field="under") from None
        return [Range(beginning, beginning + _LAST) for beginning in {text, text.lower()}]
    key = key_of(observable.type, observable.value)
    match observable.type:
        case "domain-name":
            # The name itself, names and URLs below it (`.` and `/` are neighbours), e-mail at it.
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


_FOUR: Final = re.compile(r"((?:[0-9]{1,3}\.){0,3})([0-9]{0,3})(/[0-9]{0,2})?", re.ASCII)
_SIX: Final = re.compile(r"[0-9a-f:.]+(?:/[0-9]{0,3})?", re.ASCII)


def beginning(text: str) -> list[Range]:
    """The keys of all values that begin like that, and perhaps of others: callers filter again.

    Names, URLs and e-mail addresses are left out: their keys begin with the end.
    """
    ranges = [Range(text, text + _LAST)]
    if four := _FOUR.fullmatch(text):
        ranges += _beginning_four(four[1].split(".")[:-1], four[2], slash=four[3] is not None)
    if _SIX.fullmatch(text):
        ranges += _beginning_six(text)
    return ranges


def _beginning_four(whole: list[str], cut: str, *, slash: bool) -> list[Range]:
    octets = [int(octet) for octet in whole]
    if any(octet > 255 for octet in octets) or (slash and (len(octets) < 3 or not cut)):
        return []
    digits = "=4" + "".join(f"{octet:02x}" for octet in octets)
    if not cut:
        return [Range(digits, digits + _LAST)]
    fitting = [
        octet
        for octet in range(256)
        if (str(octet) == cut if slash else str(octet).startswith(cut))
    ]
    starts = [octet for octet in fitting if octet - 1 not in fitting]
    ends = [octet for octet in fitting if octet + 1 not in fitting]
    return [
        Range(f"{digits}{low:02x}", f"{digits}{high:02x}{_LAST}")
        for low, high in zip(starts, ends, strict=True)
    ]


def _beginning_six(text: str) -> list[Range]:
    address, slash, _ = text.partition("/")
    head, gap, _ = address.partition("::")
    *whole, cut = head.split(":")
    if any(len(group) > 4 or "." in group for group in (*whole, cut)):
        return []
    digits = "=6" + "".join(group.zfill(4) for group in whole if group)
    # The last group is whole. The number of zeros behind a gap is still open.
    if gap or slash or not cut:
        digits += cut.zfill(4) if cut else ""
        return [Range(digits, digits + _LAST)]
    # The last group may go on, and is written without its leading zeros.
    starts = [digits + "0" * zeros + cut for zeros in range(5 - len(cut))]
    return [Range(start, start + _LAST) for start in starts]

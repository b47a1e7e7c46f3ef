"""Lists in the syntax of the program that uses them: the texts of a line that are meant to match.

Sources: hosts(5); Adblock Plus filter syntax; dnsmasq(8) `--address`, `--server`, `--local`;
draft-vixie-dnsop-dns-rpz-00; PeerGuardian's P2P format. Lines that block nothing (exceptions,
options, rules on page elements) give no text.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, summarize_address_range
from itertools import islice
from typing import Final

from services.feeds.formats.log_pairs import pairs_of

_MAX_RANGES: Final = 16
"""Places of a line that may be its range."""

LineTexts = Callable[[str], list[str]]
"""Takes a stripped line that is no comment; gives the texts of its observables."""

_ADBLOCK: Final = re.compile(r"\|\|([^\^/$|*]+)(?:\^|$)(?:\$.*)?")
_DNSMASQ: Final = re.compile(r"(?:address|server|local)=(/(?:[^/]*+/)++)[^/]*+", re.IGNORECASE)
_OF_ADDRESSES: Final = "0123456789abcdefABCDEF.:"
# Each run of an address' characters is looked at once: lines come from strangers.
_RANGE: Final = re.compile(
    r"(?<![0-9a-fA-F.:])(?P<first>[0-9a-fA-F.:]++)(?:\s*+-\s*+|\s++)"
    r"(?=(?P<last>[0-9a-fA-F]*+[.:][0-9a-fA-F.:]*+)(?:[\s,]|$))"
)
_LAST: Final = re.compile(r"\s*+[0-9a-fA-F]*+[.:][0-9a-fA-F.:]++(?:[\s,].*)?")
_RPZ: Final = re.compile(
    r"(?P<owner>\S++)(?:\s++\d++)?(?:\s++IN)?\s++(?:CNAME|A|AAAA|TXT)\s++(?P<target>\S++).*",
    re.IGNORECASE,
)
_RPZ_ADDRESS: Final = re.compile(
    r"(?P<length>\d{1,3})\.(?P<reversed>[0-9a-fA-Fz.]+)\.rpz-(?:client-)?ip(?:\..*)?"
)
_HOSTS: Final = re.compile(r"^(?:0\.0\.0\.0|127\.0\.0\.1|::1?|255\.255\.255\.255)\s++(.+)")
_ZONE: Final = re.compile(r"^\$(?:TTL|ORIGIN)\b|^.*\s(?:SOA|NS)\s", re.IGNORECASE)


def hosts(line: str) -> list[str]:
    """The names of a line of a hosts file."""
    entry = _HOSTS.fullmatch(line)
    if entry is None:
        return []
    names = re.split(r"\s#", entry[1], maxsplit=1)[0].split()
    return [name for name in names if "." in name and not name.startswith("localhost.")]


def adblock(line: str) -> list[str]:
    """The name that a network rule blocks as a whole."""
    rule = _ADBLOCK.fullmatch(line)
    return [rule[1]] if rule else []


def dnsmasq(line: str) -> list[str]:
    """The names that a line blocks."""
    option = _DNSMASQ.fullmatch(line)
    if option is None:
        return []
    return [name for name in option[1].split("/") if name and name != "#"]


def rpz(line: str) -> list[str]:
    """The name or network that a response policy zone rewrites, except by `rpz-passthru`.

    An address is written backwards behind its prefix length, `32.7.113.0.203.rpz-ip`; in IPv6 `zz`
    is `::`.
    """
    record = _RPZ.fullmatch(line.split(";", 1)[0].strip())
    if record is None or _ZONE.match(line):
        return []
    if record["target"].rstrip(".").lower() == "rpz-passthru":
        return []
    owner = record["owner"].rstrip(".")
    address = _RPZ_ADDRESS.fullmatch(owner)
    if address is not None:
        return [f"{_rpz_address(address['reversed'])}/{address['length']}"]
    return [] if owner in ("@", "*") or "rpz-" in owner else [owner.removeprefix("*.")]


def _rpz_address(backwards: str) -> str:
    parts = backwards.split(".")[::-1]
    if len(parts) == 4 and "zz" not in parts:
        return ".".join(parts)
    at_an_end = "zz" in (parts[0], parts[-1])
    return ":".join(parts).replace("zz", ":" if at_an_end else "")


def ranges(line: str) -> list[str]:
    """The networks of a line `first - last` or `first last`.

    A name may stand before them (`name:first-last`), other columns behind. A line whose ends are no
    addresses of one family in this order comes back as it is, and is refused as an observable.
    """
    for ends in islice(_RANGE.finditer(line), _MAX_RANGES):
        first = ends["first"]
        name = line[: ends.start()].strip()
        # An address of IPv6 holds colons as well; before one of IPv4 a colon ends the name.
        texts = [first.rpartition(":")[2], first.partition(":")[2], first]
        if not name:
            texts.reverse()
        elif ":" not in first and not name.endswith(":"):
            continue
        for text in texts:
            if networks := networks_of_range(text, ends["last"]):
                return networks
    return [line] if _RANGE.search(line) else [line.split(None, 1)[0]]


def networks_of_range(first: str, last: str) -> list[str]:
    """The networks of a range; empty if its ends are no addresses of one family in this order."""
    try:
        ends = (ip_address(_without_padding(first)), ip_address(_without_padding(last)))
        return [str(network) for network in summarize_address_range(*ends)]
    except (ValueError, TypeError):
        return []


def keys_of(lines: Sequence[str]) -> set[str]:
    """The keys of a log of pairs `key=value`; empty if most lines have none."""
    pairs = [pairs_of(line) for line in lines]
    if sum(map(bool, pairs)) * 5 < len(lines) * 4:
        return set()
    return {key for line_pairs in pairs for key, _ in line_pairs}


def values_by_key(line: str) -> dict[str, list[str]]:
    """The values of a line of pairs `key=value`, by their keys."""
    values: dict[str, list[str]] = {}
    for key, value in pairs_of(line):
        values.setdefault(key, []).append(value)
    return values


def values_of_key(key: str, line: str) -> list[str]:
    """The values of a key in a line of pairs `key=value`, as logs, CEF and LEEF have them."""
    return [value for name, value in pairs_of(line) if name == key]


def _without_padding(address: str) -> str:
    """Old lists pad the parts of an IPv4 address with zeros: 001.002.016.000."""
    if ":" in address:
        return address
    return ".".join(part.lstrip("0") or "0" for part in address.split("."))


def context_kind(style: str | None, line: str) -> str | None:
    """What a line is in which nothing is meant to match; None if it is not of the style at all."""
    kinds = _CONTEXT_KINDS.get(style or "", ())
    return next((kind for kind, pattern in kinds if pattern.search(line)), None)


_CONTEXT_KINDS: Final[dict[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    "hosts": (
        ("local name", _HOSTS),
        ("entry of another address", re.compile(r"^[0-9a-fA-F.:%]+\s+\S")),
    ),
    "adblock": (
        ("header", re.compile(r"^\[.*\]$")),
        ("exception", re.compile("^@@")),
        ("element rule", re.compile(r"#[@?$%]{0,2}#|\$\$|\$@\$")),
        ("rule on a part of an address", re.compile(r"[/|^*?=&$_]")),
    ),
    "dnsmasq": (("option", re.compile(r"^[a-z][a-z0-9-]*(?:=|$)", re.IGNORECASE)),),
    "rpz": (
        ("zone record", _ZONE),
        ("exception", re.compile(r"\srpz-passthru\b", re.IGNORECASE)),
        ("other trigger", re.compile(r"^(?=[@*]\s|\S*rpz-)\S++\s", re.IGNORECASE)),
        ("zone record", re.compile(r"^[()]|^\d+[smhdw]?\s*(?:[;)\d]|$)")),
    ),
}
"""For each style what its lines without a text are, in the order in which it is tried."""

STYLES: Final[dict[str, LineTexts]] = {
    "hosts": hosts,
    "adblock": adblock,
    "dnsmasq": dnsmasq,
    "rpz": rpz,
    "ranges": ranges,
}


def guess_style(head: Sequence[str]) -> str | None:
    """The style of a list by its first lines; None for a plain list."""
    lines = [line.strip() for line in head if line.strip()]
    if any(line.startswith(("[Adblock", "[uBlock")) for line in lines[:5]):
        return "adblock"
    if any(_ZONE.match(line) and not line.startswith("#") for line in lines[:20]):
        return "rpz"
    data = [line for line in lines if not line.startswith(("#", "!", ";", "//"))]
    for name, is_of_style in (
        ("adblock", _ADBLOCK.fullmatch),
        ("dnsmasq", _DNSMASQ.fullmatch),
        ("ranges", _is_hyphenated),
    ):
        if data and sum(bool(is_of_style(line)) for line in data) * 2 > len(data):
            return name
    return None


def _is_hyphenated(line: str) -> bool:
    """Whether a line is a range whose notation says so: two addresses between blanks are two."""
    head, _, tail = line.partition("-")
    head = head.rstrip()
    name = head.rstrip(_OF_ADDRESSES)
    first = head[len(name) :]
    has_name_end = not name.strip() or ":" in first[:-1] or name.rstrip().endswith(":")
    return bool(first) and has_name_end and _LAST.fullmatch(tail) is not None

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

_ADBLOCK: Final = re.compile(r"\|\|([^\^/$|*]+)(?:\^|$)(?:\$(.*))?")
_BLOCKING_OPTIONS: Final = frozenset(
    ("all", "css", "doc", "document", "font", "frame", "image", "important", "media", "network")
) | {
    *("object", "other", "ping", "popup", "popunder", "script", "strict3p", "stylesheet"),
    *("subdocument", "third-party", "3p", "websocket", "xhr", "xmlhttprequest", "webrtc"),
}
"""Options with which a rule blocks the name. Others bind it to a page, a client or a query, change
what the name sends, or switch another rule off."""
_DNSMASQ: Final = re.compile(r"(address|server|local)=(/(?:[^/]*+/)++)([^/]*+)", re.IGNORECASE)
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
_ORIGIN: Final = re.compile(r"\$ORIGIN\s++(\S++)", re.IGNORECASE)
_APEX: Final = re.compile(r"(\S++)\s(?:.*\s)?SOA\s", re.IGNORECASE)
_PASS_THROUGH: Final = frozenset({"rpz-passthru", "rpz-tcp-only"})
"""Targets that let an answer through."""
_LEVEL: Final = re.compile(r"[0-9a-fA-F.:]\s*+,\s*+([0-9]{1,3})\s*+(?:,|$)")
_ALLOWED_LEVEL: Final = 128
"""From this level on eMule's `ipfilter.dat` lets a range through."""


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
    if rule is None:
        return []
    options = rule[2]
    if options and not _BLOCKING_OPTIONS.issuperset(options.lower().replace(" ", "").split(",")):
        return []
    return [rule[1]]


def dnsmasq(line: str) -> list[str]:
    """The names that a line blocks: a `server` or `local` with a target answers, and forwards."""
    option = _DNSMASQ.fullmatch(line)
    if option is None or (option[1].lower() != "address" and option[3].strip()):
        return []
    return [name for name in option[2].split("/") if name and name != "#"]


def rpz(line: str, zone: str = "", origin: str | None = None) -> list[str]:
    """The name or network that a response policy zone rewrites, unless it lets it through.

    An address is written backwards behind its prefix length, `32.7.113.0.203.rpz-ip`; in IPv6 `zz`
    is `::`. A name whose target is the name itself passes, as one with `rpz-passthru` does.

    Args:
        line: a record.
        zone: the name of the zone, which absolute names end with; empty if it is not known.
        origin: what relative names are relative to; None for the zone.
    """
    record = _RPZ.fullmatch(line.split(";", 1)[0].strip())
    if record is None or _ZONE.match(line):
        return []
    owner = _trigger(record["owner"], zone, origin)
    target = record["target"].rstrip(".").lower()
    if not owner or target in _PASS_THROUGH or target == owner.lower():
        return []
    address = _RPZ_ADDRESS.fullmatch(owner)
    if address is not None:
        return [f"{_rpz_address(address['reversed'])}/{address['length']}"]
    return [] if owner in ("@", "*") or "rpz-" in owner else [owner.removeprefix("*.")]


def _trigger(owner: str, zone: str, origin: str | None) -> str:
    """The name that a record is about; empty if it is the zone's own, or outside the zone."""
    name = owner.removesuffix(".")
    if name == owner:
        if origin is None or origin == zone or owner == "@":
            return name
        name = f"{name}.{origin}" if origin else name
    if not zone:
        return name
    if name.lower() == zone:
        return ""
    return name[: -len(zone) - 1] if name.lower().endswith(f".{zone}") else ""


def zone_of(head: Sequence[str]) -> str:
    """The name of a response policy zone by its first lines; empty if they do not tell it."""
    origin = ""
    for line in head:
        text = line.strip()
        if (named := origin_of(text)) is not None:
            origin = origin or named
        elif apex := _APEX.match(text):
            owner = apex[1].lower()
            if owner.endswith("."):
                return owner.removesuffix(".")
            return origin if owner in ("@", "in") else f"{owner}.{origin}".removesuffix(".")
    return origin


def origin_of(line: str) -> str | None:
    """The name to which `$ORIGIN` makes names relative, empty for the root; else None."""
    origin = _ORIGIN.match(line)
    return None if origin is None else origin[1].removesuffix(".").lower()


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
    level = _LEVEL.search(line)
    if level is not None and int(level[1]) >= _ALLOWED_LEVEL:
        return []
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
        ("rule under a condition", re.compile(r"^\|\|[^/$*|]+\$")),
        ("rule on a part of an address", re.compile(r"[/|^*?=&$_]")),
    ),
    "dnsmasq": (
        ("forwarded name", re.compile(r"^(?:server|local)=/.*/[^/]+$", re.IGNORECASE)),
        ("option", re.compile(r"^[a-z][a-z0-9-]*(?:=|$)", re.IGNORECASE)),
    ),
    "ranges": (("allowed range", _LEVEL),),
    "rpz": (
        ("zone record", _ZONE),
        ("exception", re.compile(r"\srpz-(?:passthru|tcp-only)\b", re.IGNORECASE)),
        (
            "exception",
            re.compile(r"^(\S{1,255}?)\.?\s(?:.*\s)?CNAME\s+\1\.?(?:\s|$)", re.IGNORECASE),
        ),
        ("name outside the zone", re.compile(r"^\S+\.\s")),
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

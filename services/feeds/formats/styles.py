"""Lists in the syntax of the program they are made for: which texts of a line are meant.

Sources: hosts(5); Adblock Plus filter syntax; dnsmasq(8) `--address`, `--server`, `--local`;
draft-vixie-dnsop-dns-rpz-00; PeerGuardian's P2P format. A line that blocks nothing (an exception, an option, a rule
on page elements) means nothing.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, summarize_address_range
from typing import Final

Tokens = Callable[[str], list[str]]

_ADBLOCK: Final = re.compile(r"\|\|([^\^/$|*]+)(?:\^|$)(?:\$.*)?")
_DNSMASQ: Final = re.compile(r"(?:address|server|local)=((?:/[^/]*)+)/.*", re.IGNORECASE)
_RANGE: Final = re.compile(
    r"(?:(?P<name>.*):)?\s*(?P<first>[0-9a-fA-F.:]+)(?:\s*-\s*|\s+)(?P<last>[0-9a-fA-F]*[.:][0-9a-fA-F.:]+)(?:[\s,].*)?"
)
_RPZ: Final = re.compile(
    r"(?P<owner>\S+)(?:\s+\d+)?(?:\s+IN)?\s+(?:CNAME|A|AAAA|TXT)\s+(?P<target>\S+).*", re.IGNORECASE
)
_RPZ_ADDRESS: Final = re.compile(
    r"(?P<length>\d{1,3})\.(?P<reversed>[0-9a-fA-Fz.]+)\.rpz-(?:client-)?ip(?:\..*)?"
)
_HOSTS: Final = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?|255\.255\.255\.255)\s+(.+)")
_ZONE: Final = re.compile(r"\$(?:TTL|ORIGIN)\b|.*\s(?:SOA|NS)\s", re.IGNORECASE)


def hosts(line: str) -> list[str]:
    """The names of a line of a hosts file."""
    found = _HOSTS.fullmatch(line)
    names = re.split(r"\s#", found[1], maxsplit=1)[0].split() if found else []
    return [name for name in names if "." in name and not name.startswith("localhost.")]


def adblock(line: str) -> list[str]:
    """The name that a network rule blocks as a whole."""
    found = _ADBLOCK.fullmatch(line)
    return [found[1]] if found else []


def dnsmasq(line: str) -> list[str]:
    """The names that a line sends nowhere."""
    found = _DNSMASQ.fullmatch(line)
    return [name for name in found[1].split("/") if name and name != "#"] if found else []


def rpz(line: str) -> list[str]:
    """The name or network that a response policy zone rewrites; exceptions (`rpz-passthru`) are none.

    An address stands there turned round behind its prefix length, `32.7.113.0.203.rpz-ip`; in IPv6 `zz` is `::`.
    """
    found = _RPZ.fullmatch(line.split(";", 1)[0].strip())
    if found is None or _ZONE.match(line) or found["target"].rstrip(".").lower() == "rpz-passthru":
        return []
    owner = found["owner"].rstrip(".")
    address = _RPZ_ADDRESS.fullmatch(owner)
    if address is not None:
        parts = address["reversed"].split(".")[::-1]
        if len(parts) == 4 and "zz" not in parts:
            text = ".".join(parts)
        else:
            text = ":".join(parts).replace("zz", ":" if "zz" in (parts[0], parts[-1]) else "")
        return [f"{text}/{address['length']}"]
    return [] if owner in ("@", "*") or "rpz-" in owner else [owner.removeprefix("*.")]


def ranges(line: str) -> list[str]:
    """The networks of a line `first - last` or `first last`, with a name before it (`name:first-last`) or more behind.

    A line whose ends are no addresses of one family in this order comes back as it is, to be refused.
    """
    found = _RANGE.fullmatch(line)
    if found is None:
        return [line.split(None, 1)[0]]
    try:
        first, last = (ip_address(_plain(found[name])) for name in ("first", "last"))
        return [str(network) for network in summarize_address_range(first, last)]
    except (ValueError, TypeError):
        return [line]


def _plain(address: str) -> str:
    """Old lists pad the parts of an address with zeros: 001.002.016.000."""
    return (
        ".".join(part.lstrip("0") or "0" for part in address.split("."))
        if ":" not in address
        else address
    )


STYLES: Final[dict[str, Tokens]] = {
    "hosts": hosts,
    "adblock": adblock,
    "dnsmasq": dnsmasq,
    "rpz": rpz,
    "ranges": ranges,
}


def guess_style(head: Sequence[str]) -> str | None:
    """The style of a list by its first lines; None for a plain one."""
    lines = [line.strip() for line in head if line.strip()]
    if any(line.startswith(("[Adblock", "[uBlock")) for line in lines[:5]):
        return "adblock"
    if any(_ZONE.match(line) and not line.startswith("#") for line in lines[:20]):
        return "rpz"
    data = [line for line in lines if not line.startswith(("#", "!", ";", "//"))]
    for name, pattern in (("adblock", _ADBLOCK), ("dnsmasq", _DNSMASQ), ("ranges", _RANGE)):
        if data and sum(pattern.fullmatch(line) is not None for line in data) * 2 > len(data):
            return name
    return None

"""Columns that make a network or a range together: an address and its mask, or two ends."""

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from services.feeds.formats.column_profiles import Profile
from services.feeds.formats.fields import type_of
from services.feeds.formats.table_headers import header_key
from services.feeds.formats.type_words import ADDRESSES

_PREFIXES: Final = frozenset(
    (
        *("prefix", "netblock", "mask", "netmask", "subnetmask", "subnet_mask"),
        *("prefix_length", "prefixlen", "cidr_len"),
    )
)
_STARTS: Final = frozenset({"network", "net", "subnet", "ip", "address", "ip_address"})
_FIRST: Final = re.compile(
    r"((?:(?:ip|range|net|network|block|cidr|addr|address)_?)?)(start|begin|first)"
    r"((?:_?(?:ip|ipv4|ipv6|addr|address))?)"
)
"""Headers of the first address of a range; that of the last one has another word."""

_LAST_WORDS: Final = {"start": "end", "begin": "end", "first": "last"}
_NETMASK: Final = re.compile(r"(?:[89]|[12][0-9]|3[0-2])|255\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}")


def range_columns(
    table: list[list[str]], names: list[str], profiles: Sequence[Profile]
) -> dict[str, int]:
    """The columns `start` and `end`, or `start` and `prefix` (a length or netmask).

    It is empty unless the headers say so and the cells are what they say: `from` and `to` are the
    ends of a connection as well as those of a range.
    """
    keys = [header_key(name) for name in names]
    for profile in profiles:
        if profile.type not in ADDRESSES or profile.at >= len(keys):
            continue
        key = keys[profile.at]
        last = _last_key(key)
        if last in keys and _are_addresses(table, keys.index(last)):
            return {"start": profile.at, "end": keys.index(last)}
        if key in _STARTS or last is not None:
            for at, other in enumerate(keys):
                if other in _PREFIXES and _are_masks(table, profile.at, at):
                    return {"start": profile.at, "prefix": at}
    return {}


def _last_key(key: str) -> str | None:
    """The header of the last address for that of the first one."""
    match = _FIRST.fullmatch(key)
    if match is None or (match[2] == "first" and not (match[1] or match[3])):
        return None  # `first` and `last` alone are times as well
    return f"{match[1]}{_LAST_WORDS[match[2]]}{match[3]}"


def _are_addresses(table: list[list[str]], at: int) -> bool:
    cells = [cell for row in table if at < len(row) and (cell := row[at].strip())]
    return bool(cells) and all(type_of(cell) in ADDRESSES and "/" not in cell for cell in cells)


def _are_masks(table: list[list[str]], start: int, at: int) -> bool:
    """Whether cells are masks of the networks that begin beside them.

    A prefix beside an address within its network tells of which network the address is.
    """
    rows = [row for row in table if max(start, at) < len(row) and row[start].strip()]
    pairs = [(row[start].strip(), row[at].strip()) for row in rows if row[at].strip()]
    return bool(pairs) and all(
        _NETMASK.fullmatch(mask) and _begins_network(address, mask) for address, mask in pairs
    )


def _begins_network(address: str, mask: str) -> bool:
    if "/" in address:
        return True
    try:
        ip_address(address)
    except ValueError:
        return True  # the row by itself is wrong
    try:
        ip_network(f"{address}/{mask}")
    except ValueError:
        return False
    return True

"""A response policy zone, whose serial is the version of the list.

Format: https://datatracker.ietf.org/doc/html/draft-vixie-dnsop-dns-rpz-00. Names that are too long
below the zone's own name would stop the whole zone, and are left out.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Final

from services.observables.list_formats.base import (
    ADDRESSES,
    DOMAINS,
    FileAccount,
    ListVersion,
    OptionCheck,
    Row,
    flag,
)
from services.observables.list_formats.names import (
    BELOW,
    BELOW_MEANING,
    BelowListFormat,
    is_writable,
)

_MAX_NAME: Final = 253
_IPV4: Final = 4
_SERIALS: Final = 2**32


def _zone(text: str) -> str:
    if not is_writable(text, 100):
        raise ValueError("say a domain name of at most 100 characters")
    return text


class RpzListFormat(BelowListFormat):
    """Names and addresses that answers must not have."""

    name = "rpz"
    summary = "A response policy zone: names, and answers with the addresses, do not exist."
    media_type = "text/dns; charset=utf-8"
    types = DOMAINS | ADDRESSES
    comment = ";"
    options: Mapping[str, str] = {
        BELOW: BELOW_MEANING,
        "zone": "the name of the zone; rpz.invalid without it",
    }
    checks: Mapping[str, OptionCheck] = {BELOW: flag, "zone": _zone}

    def head(self, version: ListVersion) -> list[str]:
        """The origin, the zone's authority with its serial, and its name server."""
        zone = self._zone_of(version)
        serial = version.number % _SERIALS
        return [
            *super().head(version),
            f"$ORIGIN {zone}.",
            "$TTL 60",
            f"@ IN SOA localhost. hostmaster.localhost. {serial} 60 60 432000 60",
            "@ IN NS localhost.",
        ]

    def lines(self, rows: Sequence[Row], version: ListVersion, account: FileAccount) -> list[str]:
        """The records of names, then those of addresses."""
        names = super().lines([row for row in rows if row[0] in DOMAINS], version, account)
        addresses = [row[1] for row in rows if row[0] in ADDRESSES]
        return names + [f"{_trigger(value)} IN CNAME ." for value in addresses]

    def room(self, version: ListVersion) -> int:
        """What a name may have, with the zone's name, and with `*.` before it."""
        return _MAX_NAME - len(self._zone_of(version)) - 1 - len("*.")

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:
        """The records of a name."""
        record = f"{name} IN CNAME ."
        return (record, f"*.{record}") if self.stands_for_below(version) else (record,)

    def _zone_of(self, version: ListVersion) -> str:
        return version.options.get("zone", "rpz.invalid")


def _trigger(value: str) -> str:
    """The owner name that stands for an address or network in answers."""
    network = ip_network(value)
    if network.version == _IPV4:
        labels = str(network.network_address).split(".")
    else:
        groups = network.network_address.exploded.split(":")
        labels = [group.lstrip("0") or "0" for group in groups]
        labels = _shortened(labels)
    return ".".join([str(network.prefixlen), *reversed(labels), "rpz-ip"])


def _shortened(groups: list[str]) -> list[str]:
    """The groups of an IPv6 address with `zz` for its longest run of zeros."""
    best = (0, 0)
    start = 0
    while start < len(groups):
        end = start
        while end < len(groups) and groups[end] == "0":
            end += 1
        if end - start > best[1] - best[0] and end - start > 1:
            best = (start, end)
        start = end + 1
    if best[1] == 0:
        return groups
    return [*groups[: best[0]], "zz", *groups[best[1] :]]

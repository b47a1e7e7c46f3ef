"""Sets of nftables and of ipset. What the same sets had before is replaced at once."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from services.observables.list_formats.base import (
    ADDRESSES,
    FileAccount,
    ListVersion,
    OptionCheck,
    Pages,
    PlainTextFormat,
    head_comment,
)
from services.observables.list_formats.cidr import aggregated

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_MAX_SET: Final = 24
"""Characters of a set's name without its ending; ipset takes 31."""


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError("say letters, digits and _, beginning with a letter")
    return text


def _set_name(version: ListVersion) -> str:
    name = re.sub(r"[^a-z0-9]", "_", version.name)[:_MAX_SET]
    return version.options.get("set", name if name[0].isalpha() else f"l_{name}"[:_MAX_SET])


class NftablesListFormat(PlainTextFormat):
    """Two sets of networks for `nft -f`, which replaces them in one transaction."""

    name = "nftables"
    summary = "Two sets of networks for nft -f, replaced in one transaction."
    types = ADDRESSES
    options: Mapping[str, str] = {
        "table": "of the family inet; sentineliq without it",
        "set": "its name's beginning",
    }
    checks: Mapping[str, OptionCheck] = {"table": _word, "set": _word}

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the commands."""
        table = f"inet {version.options.get('table', 'sentineliq')}"
        ipv4, ipv6 = aggregated(self, pages, account)
        lines = [*head_comment("#", version), f"add table {table}"]
        for ending, kind, networks in (("v4", "ipv4_addr", ipv4), ("v6", "ipv6_addr", ipv6)):
            place = f"{table} {_set_name(version)}_{ending}"
            lines.append(f"add set {place} {{ type {kind}; flags interval; }}")
            lines.append(f"flush set {place}")
            if networks:
                lines += [f"add element {place} {{", ",\n".join(networks), "}"]
        yield ("\n".join(lines) + "\n").encode()


class IpsetListFormat(PlainTextFormat):
    """Two sets of networks for `ipset restore`, swapped in when they are whole."""

    name = "ipset"
    summary = "Two sets of networks for ipset restore, swapped in when they are whole."
    types = ADDRESSES
    options: Mapping[str, str] = {"set": "its name's beginning"}
    checks: Mapping[str, OptionCheck] = {"set": _word}

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the commands."""
        ipv4, ipv6 = aggregated(self, pages, account)
        lines = head_comment("#", version)
        for ending, family, networks in (("v4", "inet", ipv4), ("v6", "inet6", ipv6)):
            place = f"{_set_name(version)}_{ending}"
            room = max(65_536, 2 * len(networks))
            kind = f"hash:net family {family} maxelem {room}"
            lines += [
                f"create {place} {kind} -exist",
                f"create {place}_n {kind} -exist",
                f"flush {place}_n",
                *[f"add {place}_n {network}" for network in networks],
                f"swap {place}_n {place}",
                f"destroy {place}_n",
            ]
        yield ("\n".join(lines) + "\n").encode()

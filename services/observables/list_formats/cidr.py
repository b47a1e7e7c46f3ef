"""Addresses and networks, aggregated to the fewest networks that cover exactly them."""

from collections.abc import Iterator

from services.observables.list_formats.aggregation import aggregate_ipv4, aggregate_ipv6
from services.observables.list_formats.base import (
    ADDRESSES,
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
    head_comment,
)


class CidrFormat(PlainTextFormat):
    """The fewest networks, one a line, IPv4 before IPv6."""

    name = "cidr"
    needs_values_alone = True
    summary = "The fewest networks that cover exactly the addresses, one a line."
    types = ADDRESSES

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the networks; entries are counted before they are aggregated."""
        yield "".join(f"{line}\n" for line in head_comment("#", version)).encode()
        for networks in aggregated(self, pages, account):
            if networks:
                yield ("\n".join(networks) + "\n").encode()


def aggregated(
    format_: PlainTextFormat, pages: Pages, account: FileAccount
) -> tuple[list[str], list[str]]:
    """The fewest IPv4 and IPv6 networks of a list."""
    ipv4: list[str] = []
    ipv6: list[str] = []
    for page in pages:
        rows = format_.speakable(page, account)
        ipv4 += [row[1] for row in rows if row[0] == "ipv4-addr"]
        ipv6 += [row[1] for row in rows if row[0] == "ipv6-addr"]
    account.entries += len(ipv4) + len(ipv6)
    return aggregate_ipv4(ipv4), aggregate_ipv6(ipv6)

"""Logs whose lines have their parts between blanks: which part is an address that matters.

Of two addresses on a line one is mostly where the other was seen: an address of the own network, or
one that each line repeats. Where that does not tell them apart, the choice is the reader's.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from services.feeds.formats.base import AmbiguousDocument
from services.feeds.formats.fields import is_own_address, type_of
from services.feeds.formats.styles import networks_of_range
from shared.stix import ObservableType

_T = ObservableType
_ADDRESSES: Final = frozenset({_T.IPV4, _T.IPV6})
_MAX_COLUMNS: Final = 24
_MAX_HEADER: Final = 3
"""Lines at the beginning that may name the columns."""

_CLEAR: Final = 0.8
_COMMENT: Final = re.compile(r"(?:^|\s)(?:#|;|//|!).*$")
_ENDPOINT: Final = re.compile(
    r"\(?(?P<interface>[A-Za-z][\w.-]{0,40}+:)?(?P<address>(?:[0-9]{1,3}\.){3}[0-9]{1,3})"
    r"(?P<mark>[/:#.])(?P<port>[0-9]{1,5})(?:\(\S*+|[:,;|)]*+)",
    re.ASCII,
)
"""An end of a connection: `outside:192.0.2.7/443` (Cisco), `192.0.2.7#53` (BIND), `192.0.2.7.443`
(tcpdump), `192.0.2.7:443`."""

_MAX_PREFIX: Final = 32
_LONGEST_PREFIX: Final = 128
"""Bits of an address of IPv4, and of IPv6."""

_LOG_TIME: Final = re.compile(
    r"(?:<[0-9]{1,3}>[0-9]?\s*)?\[?(?:[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}|[A-Z][a-z]{2}\s+[0-9]{1,2}\s"
    r"|[0-9]{1,2}[-/.](?:[0-9]{2}|[A-Z][a-z]{2})[-/.][0-9]{4})"
)


class AddressColumn(NamedTuple):
    """A column of addresses.

    Attributes:
        at: its index.
        is_own: whether all of them are of private networks.
        is_repeated: whether all of them are the same.
    """

    at: int
    is_own: bool
    is_repeated: bool


def endpoint_text(cell: str, *, has_ports: bool = False) -> str:
    """The address of an end of a connection; another text without a comma or such behind it.

    Args:
        cell: a part of a line.
        has_ports: whether a number behind a slash is a port also if it may be a prefix length.
    """
    end = _ENDPOINT.fullmatch(cell)
    if end is None:
        return cell.rstrip(",;|")
    is_port = has_ports or end["interface"] or int(end["port"]) > _MAX_PREFIX
    return end["address"] if end["mark"] != "/" or is_port else cell.rstrip(",;|")


def has_ports(lines: Sequence[str]) -> bool:
    """Whether lines have ports behind the slash that follows an address.

    One number beyond the longest prefix may be a mistake; several of them, or a large one, are not.
    """
    ends = (
        _ENDPOINT.fullmatch(cell)
        for line in lines
        if "/" in line
        for cell in line.split(None, _MAX_COLUMNS)[:_MAX_COLUMNS]
    )
    ports = [int(end["port"]) for end in ends if end is not None and end["mark"] == "/"]
    beyond = [port for port in ports if _MAX_PREFIX < port < 65536]
    return len(beyond) > 1 or any(port > _LONGEST_PREFIX for port in beyond)


def is_log_line(line: str) -> bool:
    """Whether a line begins with a time, as those of logs do."""
    return _LOG_TIME.match(line) is not None


def rows_between_blanks(lines: Sequence[str]) -> list[list[str]]:
    """The parts of the lines, without those at the beginning that hold no observable."""
    is_with_ports = has_ports(lines)
    rows = [_ends_of(line, has_ports=is_with_ports) for line in lines]
    for _ in range(_MAX_HEADER):
        if len(rows) > 2 and not any(map(type_of, rows[0])):
            del rows[0]
    return rows


def _ends_of(line: str, *, has_ports: bool) -> list[str]:
    cells = _COMMENT.sub("", line).split(None, _MAX_COLUMNS)[:_MAX_COLUMNS]
    return [endpoint_text(cell, has_ports=has_ports) for cell in cells]


def address_columns(rows: Sequence[Sequence[str]]) -> list[AddressColumn]:
    """The columns in which nearly all rows have an address."""
    columns = []
    for at in range(max(map(len, rows), default=0)):
        cells = [row[at] for row in rows if at < len(row)]
        addresses = [cell for cell in cells if cell[:1].isalnum() and type_of(cell) in _ADDRESSES]
        if len(addresses) >= max(len(rows) * _CLEAR, 1):
            is_own = all(map(is_own_address, addresses))
            is_repeated = len(addresses) > 2 and len(set(addresses)) == 1
            columns.append(AddressColumn(at, is_own, is_repeated))
    return columns


def telling_columns(columns: Sequence[AddressColumn]) -> list[AddressColumn]:
    """The columns without those that tell where the addresses of the others were seen."""
    others = [column for column in columns if not column.is_own] or list(columns)
    return [column for column in others if not column.is_repeated] or others


def column_types(rows: Sequence[Sequence[str]], at: int) -> Counter[ObservableType]:
    """The types of the observables in a column."""
    cells = [row[at] for row in rows if at < len(row)]
    return Counter(kind for cell in cells if (kind := type_of(cell)))


def refuse_rivals(columns: Sequence[AddressColumn], rows: Sequence[Sequence[str]]) -> None:
    """Refuse several columns of addresses that nothing tells apart.

    Raises:
        AmbiguousDocument: there are several.
    """
    if len(columns) < 2:
        return
    places = [column.at for column in columns]
    shown = ", ".join(f"{at + 1} ({rows[0][at]})" for at in places if at < len(rows[0]))
    choices: list[dict[str, Any]] = [{"column": at} for at in places]
    choices.append({"column": places})
    if _are_ranges(rows, places):
        choices.append({"style": "ranges"})
    raise AmbiguousDocument(
        f"The parts {shown} of the lines are addresses: say by the option `column` which of them "
        "are indicators.",
        "line 1",
        [{"format": "text", "options": choice} for choice in choices],
    )


def _are_ranges(rows: Sequence[Sequence[str]], places: Sequence[int]) -> bool:
    first, last = places[:2]
    pairs = [(row[first], row[last]) for row in rows if last < len(row)]
    return last == first + 1 and all(networks_of_range(*pair) for pair in pairs)

"""Reads addresses of IPv4 in prose: networks, ranges, ends of connections, and URLs."""

import re

from shared.stix.addresses import is_ipv4
from shared.stix.extract_doubts import CUT
from shared.stix.extract_matches import DOUBT, PREFIX, AddMatch, Match, try_add
from shared.stix.extract_noise import no_address
from shared.stix.extract_urls import read_with_path
from shared.stix.observable import normalise
from shared.stix.vocabulary import NotAnObservable, ObservableType

_T = ObservableType

_NETMASK = re.compile(
    r"(?:/|[ \t]{1,4}+(?:(?:net)?mask[ \t:]{1,4}+)?)([0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    r"(?![0-9A-Za-z_/]|\.[0-9])",
    re.IGNORECASE,
)
_MAX_PREFIX = 32
_LOOK_BACK = 300
"""Characters of a line before and behind an address that tell what it is."""
_LOG_MARK = re.compile(r"%(?:ASA|FTD|FWSM|PIX)-[0-9]")
_INTERFACE = re.compile(r"(?:^|[\s(\[])[A-Za-z][\w-]{0,40}:$")
_PORT = re.compile(r"\.[0-9]{1,3}/(?:3[3-9]|[4-9][0-9]|[1-9][0-9]{2,4})(?![0-9./])")
_BEFORE_MASK = ("/", " 2", " m", " n", "  ", "\t", " M", " N")


def read_address(text: str, start: int, end: int, plain: str, add: AddMatch) -> int:
    """Read an IPv4 address, a network, a range, or with a path behind it a URL."""
    if not is_ipv4(plain):
        _read_range(start, end, plain, add)
        return end
    is_version = len(plain) == end - start and no_address(text, start)
    # No host has the address of a mask.
    if is_version or plain.startswith(("0.", "255.")):
        return end
    if prefix := PREFIX.match(text, end):
        # A prefix that is none makes no path.
        is_port = _is_port(text, start, plain, int(prefix[1]))
        network = plain if is_port else f"{plain}/{prefix[1]}"
        try_add(add, _T.IPV4, network, start, end if is_port else prefix.end())
        return prefix.end()
    is_before_mask = text.startswith(_BEFORE_MASK, end)
    if is_before_mask and (mask := _NETMASK.match(text, end)):
        if try_add(add, _T.IPV4, f"{plain}/{mask[1]}", start, mask.end()):
            return mask.end()
        if text[end] == "/":
            add(Match(DOUBT, CUT, start, mask.end()))
            return mask.end()
    return _read_host(text, start, end, plain, add)


def _is_port(text: str, start: int, plain: str, number: int) -> bool:
    """Whether the number behind the slash of `address/number` is a port, as in Cisco's logs.

    It is one beyond 32. A smaller one is one behind the name of an interface (`outside:`), or on a
    line that has another port, unless the address begins a network of that length.
    """
    if number > _MAX_PREFIX:
        return True
    octets = [int(octet) for octet in plain.split(".")]
    address = int.from_bytes(bytes(octets))
    before = text[max(0, start - _LOOK_BACK) : start].rpartition("\n")[2]
    if _LOG_MARK.search(before):
        return True
    if not address & ((1 << (_MAX_PREFIX - number)) - 1):
        return False
    behind = text[start : start + _LOOK_BACK].partition("\n")[0]
    is_behind_interface = _INTERFACE.search(before) is not None
    return is_behind_interface or bool(_PORT.search(before) or _PORT.search(behind))


def _read_host(text: str, start: int, end: int, plain: str, add: AddMatch) -> int:
    """Read an IPv4 address, or with a path behind it a URL."""
    try:
        host = Match(_T.IPV4, normalise(_T.IPV4, plain), start, end)
    except NotAnObservable:
        return end
    return read_with_path(text, start, end, host, add)


def _read_range(start: int, end: int, plain: str, add: AddMatch) -> None:
    """Read addresses between hyphens; of `192.0.2.0-255` the first alone is not what is named."""
    pieces = plain.split("-")
    if len(plain) != end - start or not is_ipv4(pieces[0]):
        return
    if not all(map(is_ipv4, pieces)):
        add(Match(DOUBT, CUT, start, end))
        return
    at = start
    for piece in pieces:
        try_add(add, _T.IPV4, piece, at, at + len(piece))
        at += len(piece) + 1

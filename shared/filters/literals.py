"""Texts in a filter that stand for times, time spans, networks, domains and patterns."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Final

import re2

from shared.filters.conditions import Network

MAX_SPAN: Final = timedelta(days=36_525)
"""Longer time spans are refused, so that no sum leaves the years that there are."""

_SPAN: Final = re.compile(r"(-?)((?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ns|us|ms|d|h|m|s))+)")
_SPAN_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ns|us|ms|d|h|m|s)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
_MAX_PATTERN_MEMORY: Final = 1 << 20


def time_span(text: str) -> timedelta:
    """Read a time span such as `90m` or `1h30m`, as CEL writes it; here also days: `7d`.

    Raises:
        ValueError: it is none, or longer than a century.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError('A time span is written like duration("36h"), with d, h, m, s or ms.')
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _SPAN_PART.findall(match[2]))
    if seconds > MAX_SPAN.total_seconds():
        raise ValueError("A time span is a hundred years at most.")
    span = timedelta(seconds=seconds)
    return -span if match[1] else span


def moment(text: str) -> datetime:
    """Read a time of RFC 3339.

    Raises:
        ValueError: it is none, or has no offset.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or len(text) < len("2026-11-30T00:00:00Z"):
        raise ValueError('A time is written like timestamp("2026-11-30T08:00:00Z").')
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("The time is in no year that there is.") from None


def network(text: str) -> Network:
    """Read a network in CIDR notation.

    Raises:
        ValueError: it is none, or names a host inside it.
    """
    if "/" not in text:
        raise ValueError('A network is written like cidr("192.0.2.0/24").')
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        raise ValueError('A network is written like cidr("192.0.2.0/24").') from None
    raise ValueError(f"{text} is a host in a network; the network is {whole}.")


def domain(text: str) -> str:
    """Read a domain, as the names below it end.

    Raises:
        ValueError: it is none.
    """
    name = text.strip().strip(".").lower()
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        ascii_name = ""
    if not re.fullmatch(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*+", ascii_name):
        raise ValueError('A domain is written like under("example.com").')
    return ascii_name


def pattern(text: str) -> "re2._Regexp":
    """Compile a pattern of RE2, whose time is linear in the text.

    Raises:
        ValueError: it is none, or needs too much memory.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PATTERN_MEMORY
    try:
        return re2.compile(text, options=options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise ValueError(f"The pattern cannot be used: {str(reason)[:200]}.") from error

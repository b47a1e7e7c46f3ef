"""The hosts of URLs."""

import re
from typing import Final

# WHATWG escapes an @ in the user's name or password, so the last one before the path ends them.
_HOST: Final = re.compile(
    r"[a-z][a-z0-9+.-]*+://(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^:/?#]*)", re.IGNORECASE | re.ASCII
)


def host_of(url: str) -> str:
    """The host of a canonical URL, an IPv6 address in brackets; empty when it has none."""
    match = _HOST.match(url)
    return match[1] if match else ""


_BARE: Final = re.compile(r"(?::[0-9]*)?/?", re.ASCII)


def is_bare(url: str) -> bool:
    """Whether a canonical URL is nothing but a host, with a port at most."""
    match = _HOST.match(url)
    return match is not None and _BARE.fullmatch(url, match.end()) is not None

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

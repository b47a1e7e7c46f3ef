"""The parts of canonical URLs."""

import re
from typing import Final

_PATH: Final = re.compile("[/?#]")


def split_url(url: str) -> tuple[str, str]:
    """The host, and what follows it (a port included)."""
    rest = url.partition("://")[2]
    match = _PATH.search(rest)
    end = match.start() if match else len(rest)
    path = rest[end:].removeprefix("/")
    authority = rest[:end].rpartition("@")[2]
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return host, f":{port}/{path}" if port else path


def host_of(url: str) -> str:
    """The host of a canonical URL: a name or an address without brackets."""
    return split_url(url)[0]

"""The cookie of a session, and what a browser has to show with requests that change something.

The prefix `__Host-` lets browsers accept the cookie only from this host, over a secure channel, for
all paths. A page of another site can make a browser send a request, but can neither set its header
nor choose its origin.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from shared.errors import Forbidden

COOKIE: Final = "__Host-sentineliq"
CSRF_HEADER: Final = "x-csrf-token"
BROWSER_PREFIX: Final = "siqb_"
COMMAND_LINE_PREFIX: Final = "siqs_"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST: Final = 4096


def read_cookie(header: str) -> str | None:
    """Return the session's secret from a `Cookie` header; None if it has none.

    Raises:
        Forbidden: it has several, of which nobody knows which one is meant.
    """
    if len(header) > _LONGEST:
        return None
    parts = [part.strip().partition("=") for part in header.split(";")]
    values = [value for name, _, value in parts if name == COOKIE]
    if len(values) > 1:
        raise Forbidden(f"The request has several cookies {COOKIE}.")
    return values[0] if values else None


def csrf_token(secret: str) -> str:
    """Return the token that pages of a session send with each change."""
    digest = hmac.digest(secret.encode(), b"sentineliq csrf", sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def check_origin(origin: str | None, host: str, base_url: str) -> None:
    """Require that a request comes from a page of this address.

    Args:
        origin: the header `Origin`; None if there is none.
        host: the header `Host`.
        base_url: the installation's own address.

    Raises:
        Forbidden: it comes from another one, or does not say so.
    """
    if origin is None:
        raise Forbidden("The request does not say where it comes from: it has no Origin.")
    parts = urlsplit(base_url)
    if origin.lower() == f"{parts.scheme}://{parts.netloc}".lower():
        return
    if not host or origin.lower() not in {f"https://{host}".lower(), f"http://{host}".lower()}:
        raise Forbidden("The request comes from a page of another site.")


def check_browser(
    method: str, secret: str, token: str | None, origin: str | None, host: str, base_url: str
) -> None:
    """Require of a request that changes something that a page of ours has made it.

    Raises:
        Forbidden: its origin is another, or it has no valid CSRF token.
    """
    if method in SAFE_METHODS:
        return
    check_origin(origin, host, base_url)
    if not hmac.compare_digest(csrf_token(secret).encode(), (token or "").encode()):
        raise Forbidden("The request has no valid CSRF token: send the header X-CSRF-Token.")

"""Who is signed in: a person's token, sealed in a cookie that no script reads.

The console stores nothing. The cookie holds the token that `sentineliq tokens create` has made, and
the secret that every form carries; it ends with the token.
"""

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from shared.auth import Principal, verify_token
from shared.crypto import Sealer, UnsealError
from shared.errors import Unauthenticated
from shared.keys import CONSOLE_SESSIONS, Keys

_PLACE: Final = "console-cookie"
_NAME: Final = "sentineliq-console"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_MAX_COOKIE: Final = 4_000


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """One browser at the console.

    Attributes:
        form_secret: what every form of this browser carries.
        token: the person's; empty until they sign in.
        principal: of the token.
    """

    form_secret: str
    token: str = ""
    principal: Principal | None = None

    def accepts(self, form_secret: str) -> bool:
        """Whether a form was made for this browser."""
        return compare_digest(self.form_secret.encode(), form_secret.encode())


def is_plain_loopback(url: URL) -> bool:
    """Whether a browser calls this machine without TLS: there alone a cookie needs none."""
    return url.scheme == "http" and (url.hostname or "") in _LOOPBACK


class SessionCookies:
    """Reads and writes the cookies of sessions.

    Args:
        keys: of the process.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._sealer = Sealer(keys, CONSOLE_SESSIONS)

    def read(self, request: Request) -> ConsoleSession | None:
        """Return the session of a request; None if its cookie is missing, changed, or has ended."""
        cookie = request.cookies.get(_cookie_name(request), "")
        if not cookie or len(cookie) > _MAX_COOKIE:
            return None
        try:
            stored = json.loads(self._sealer.open(urlsafe_b64decode(cookie), _PLACE))
            token = stored["token"]
            principal = verify_token(self._keys, token) if token else None
        except (UnsealError, Unauthenticated, ValueError, KeyError, TypeError):
            return None
        return ConsoleSession(stored["form"], token, principal)

    def start(self, token: str = "") -> ConsoleSession:
        """Start a session with a new form secret.

        Args:
            token: empty for a browser whose person has not signed in.

        Raises:
            Unauthenticated: the token is not valid.
        """
        principal = verify_token(self._keys, token) if token else None
        return ConsoleSession(secrets.token_urlsafe(32), token, principal)

    def write(self, request: Request, response: Response, session: ConsoleSession) -> None:
        """Give a session to the browser."""
        document = json.dumps({"form": session.form_secret, "token": session.token})
        sealed = urlsafe_b64encode(self._sealer.seal(document, _PLACE)).decode()
        facts = session.principal.token if session.principal else None
        response.set_cookie(
            _cookie_name(request),
            sealed,
            max_age=max(int(facts.expires_at - time.time()), 0) if facts else None,
            path="/",
            secure=not is_plain_loopback(request.url),
            httponly=True,
            samesite="strict",
        )

    def end(self, request: Request, response: Response) -> None:
        """Take the session from the browser."""
        response.delete_cookie(
            _cookie_name(request),
            path="/",
            secure=not is_plain_loopback(request.url),
            httponly=True,
            samesite="strict",
        )


def _cookie_name(request: Request) -> str:
    return _NAME if is_plain_loopback(request.url) else f"__Host-{_NAME}"

"""Who is signed in at a browser: a credential of identity, sealed in a cookie that no script reads.

The console stores nothing. The cookie holds the secret of a session or a person's token, and the
secret that every form carries.
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import Final

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.console.identity import Admission
from shared.auth import Principal
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
        credential: the person's session or token; empty until they sign in.
        admission: who they are now; None if the credential has ended.
    """

    form_secret: str
    credential: str = ""
    admission: Admission | None = None

    @property
    def principal(self) -> Principal | None:
        """Who is signed in."""
        return self.admission.principal if self.admission else None

    def bearer(self, service: str) -> str:
        """The token that a service gets.

        Raises:
            Unauthenticated: nobody is signed in.
        """
        if self.admission is None:
            raise Unauthenticated("Sign in first.")
        return self.admission.bearer(service)

    def admitted(self, admission: Admission | None) -> "ConsoleSession":
        """This session, of whom identity has let in."""
        return replace(self, admission=admission)

    def accepts(self, form_secret: str) -> bool:
        """Whether a form was made for this browser."""
        return compare_digest(self.form_secret.encode(), form_secret.encode())


def start_session(credential: str = "", admission: Admission | None = None) -> ConsoleSession:
    """Start a session with a new form secret; without a credential nobody is signed in."""
    return ConsoleSession(secrets.token_urlsafe(32), credential, admission)


def is_plain_loopback(url: URL) -> bool:
    """Whether a browser calls this machine without TLS: there alone a cookie needs none."""
    return url.scheme == "http" and (url.hostname or "") in _LOOPBACK


class SessionCookies:
    """Reads and writes the cookies of sessions.

    Args:
        keys: of the process.
    """

    def __init__(self, keys: Keys) -> None:
        self._sealer = Sealer(keys, CONSOLE_SESSIONS)

    def read(self, request: Request) -> ConsoleSession | None:
        """Return the session of a request, not admitted; None if its cookie is no session."""
        cookie = request.cookies.get(_cookie_name(request), "")
        if not cookie or len(cookie) > _MAX_COOKIE:
            return None
        try:
            stored = json.loads(self._sealer.open(urlsafe_b64decode(cookie), _PLACE))
            return ConsoleSession(str(stored["form"]), str(stored["credential"]))
        except (UnsealError, ValueError, KeyError, TypeError):
            return None

    def write(self, request: Request, response: Response, session: ConsoleSession) -> None:
        """Give a session to the browser, until it is closed."""
        document = json.dumps({"form": session.form_secret, "credential": session.credential})
        sealed = urlsafe_b64encode(self._sealer.seal(document, _PLACE)).decode()
        response.set_cookie(
            _cookie_name(request),
            sealed,
            path="/",
            secure=not is_plain_loopback(request.url),
            httponly=True,
            samesite="strict",
        )


def _cookie_name(request: Request) -> str:
    return _NAME if is_plain_loopback(request.url) else f"__Host-{_NAME}"

"""What a request shows of who makes it. No I/O."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from services.gateway.api_keys.key_format import PREFIX as KEY_PREFIX
from services.gateway.sessions.cookies import (
    BROWSER_PREFIX,
    COMMAND_LINE_PREFIX,
    CSRF_HEADER,
    read_cookie,
)
from shared.errors import Unauthenticated

TENANT_HEADER: Final = b"sentineliq-tenant"
_ALONE: Final = frozenset(
    {b"authorization", b"origin", b"host", CSRF_HEADER.encode(), TENANT_HEADER}
)
"""Headers of which a request may have one each."""

CredentialKind = Literal["browser", "command-line", "key", "token"]


class Credential(NamedTuple):
    """What a request shows.

    Attributes:
        kind: of the secret.
        secret: the session's, the API key, or the token.
        tenant: the tenant that the request names; None if it names none.
        csrf: the CSRF token.
        origin: of the page that makes the request; None if it does not say.
        host: the address that was asked.
    """

    kind: CredentialKind
    secret: str
    tenant: str | None
    csrf: str | None
    origin: str | None
    host: str


def read_credential(headers: Sequence[tuple[bytes, bytes]]) -> Credential:
    """Return what a request shows of who makes it; a header goes before a cookie.

    Args:
        headers: with names in lower case.

    Raises:
        Unauthenticated: it shows nothing, or a header stands there twice.
    """
    values: dict[bytes, str] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        if name == b"cookie":
            # HTTP/2 sends a header for each cookie.
            values[name] = f"{values[name]}; {text}" if name in values else text
        elif name in _ALONE:
            if name in values:
                raise Unauthenticated(f"The request has several headers {name.decode()}.")
            values[name] = text
    kind, secret = _secret(values)
    return Credential(
        kind,
        secret,
        values.get(TENANT_HEADER),
        values.get(CSRF_HEADER.encode()),
        values.get(b"origin"),
        values.get(b"host", ""),
    )


def _secret(values: dict[bytes, str]) -> tuple[CredentialKind, str]:
    authorization = values.get(b"authorization")
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
        if text.startswith(COMMAND_LINE_PREFIX):
            return "command-line", text
        return ("key", text) if text.startswith(KEY_PREFIX) else ("token", text)
    secret = read_cookie(values.get(b"cookie", ""))
    if secret is None or not secret.startswith(BROWSER_PREFIX):
        raise Unauthenticated("Sign in, or send a token: Authorization: Bearer <token>.")
    return "browser", secret

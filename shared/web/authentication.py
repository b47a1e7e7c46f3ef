"""Who makes a request, from its headers alone."""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from fastapi import FastAPI

from shared.auth import Principal, verify_token
from shared.errors import Unauthenticated
from shared.keys import Keys
from shared.web.documentation import DOCUMENTATION_PATHS

OPEN_PATHS: Final = DOCUMENTATION_PATHS | {"/healthz", "/readyz", "/metrics"}
"""Paths that ask for no token."""


def open_paths(app: FastAPI, paths: Collection[str]) -> None:
    """Let an API answer some paths without a token, beside those that all services have open.

    It counts until the first request, with which the stack of middleware is built.
    """
    app.state.open_paths = frozenset(paths)


def authenticate(keys: Keys, authorization: str, audience: str | None = None) -> Principal:
    """Return the principal that an `Authorization` header names.

    Args:
        keys: of the process.
        authorization: the header; may be any text.
        audience: the service that is asked; None accepts a token for any.

    Raises:
        Unauthenticated: it is empty, or holds no valid token.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    return verify_token(keys, token, audience)


def authenticate_widely(
    keys: Keys, headers: Mapping[bytes, str], audience: str | None = None
) -> Principal:
    """Return the principal of a request to a protocol whose clients know other ways than ours.

    They send the token as a bearer, as the password of HTTP's basic authentication with any user
    name, as `Authorization: Token …`, or in `X-API-Key`.

    Args:
        keys: of the process.
        headers: by their names in lower case.
        audience: see `authenticate`.

    Raises:
        Unauthenticated: no header holds a valid token.
    """
    token = _token_of(headers.get(b"authorization", "")) or headers.get(b"x-api-key", "")
    if not token:
        raise Unauthenticated("Send a token: as a bearer, or as the password of any user name.")
    return verify_token(keys, token.strip(), audience)


def _token_of(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "bearer" | "token":
            return rest.strip()
        case "basic":
            return _password_of(rest.strip())
    return ""


def _password_of(encoded: str) -> str:
    try:
        user_and_password = base64.b64decode(encoded, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    return user_and_password.partition(":")[2]


def is_authenticated(keys: Keys, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's headers, with names in lower case, carry a valid token in any way."""
    try:
        authenticate_widely(keys, {name: value.decode("latin-1") for name, value in headers})
    except Unauthenticated:
        return False
    return True

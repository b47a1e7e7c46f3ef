"""Who makes a request, from its headers alone."""

from collections.abc import Collection, Iterable
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


def is_authenticated(keys: Keys, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's headers, with names in lower case, carry a valid token."""
    authorization = next((value for name, value in headers if name == b"authorization"), b"")
    try:
        authenticate(keys, authorization.decode("latin-1"))
    except Unauthenticated:
        return False
    return True

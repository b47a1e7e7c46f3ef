"""Tokens of consumers: shown once, stored as a salted HMAC. No I/O.

A token names its consumer, so that a poll needs no search, and has 24 random bytes behind it.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

_SECRET_BYTES: Final = 24
_SALT_BYTES: Final = 16
_ID_BYTES: Final = 16
_LENGTH: Final = 54
"""Characters of a token: 40 bytes in base64url, without padding."""


class IssuedToken(NamedTuple):
    """A token, and what is stored of it."""

    token: str
    digest: bytes


class ReadToken(NamedTuple):
    """The consumer that a token names, and the secret that proves it."""

    consumer_id: UUID
    secret: bytes


def issue(consumer_id: UUID) -> IssuedToken:
    """Make a token for a consumer."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    salt = secrets.token_bytes(_SALT_BYTES)
    token = urlsafe_b64encode(consumer_id.bytes + secret).rstrip(b"=").decode()
    return IssuedToken(token, salt + _mac(salt, secret))


def read(token: str) -> ReadToken | None:
    """The parts of a token; None for any other text."""
    if len(token) != _LENGTH or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "==")
    except ValueError:
        return None
    if len(raw) != _ID_BYTES + _SECRET_BYTES:
        return None
    return ReadToken(UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:])


def is_valid(secret: bytes, digest: bytes) -> bool:
    """Whether a secret is the one of a stored digest."""
    salt = digest[:_SALT_BYTES]
    return hmac.compare_digest(digest[_SALT_BYTES:], _mac(salt, secret))


def _mac(salt: bytes, secret: bytes) -> bytes:
    return hmac.new(salt, secret, sha256).digest()

"""Secrets that are shown once: what a link, a session or a code carries, and what is stored of it.

A secret of 32 random bytes cannot be guessed, so that its SHA-256 is enough at rest.
"""

import secrets
from hashlib import sha256
from typing import Final

_SECRET_BYTES: Final = 32
MAX_SECRET_LENGTH: Final = 128


def new_secret(prefix: str = "") -> str:
    """Return a new secret: a prefix that tells its kind, and 43 random characters."""
    return prefix + secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return what is stored of a secret, by which its row is looked up."""
    return sha256(secret.encode()).digest()

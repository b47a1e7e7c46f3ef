"""Recovery codes: ten, each for one sign-in without the second factor. No I/O."""

import secrets
from typing import Final

from services.gateway.people.secrets import digest_of

COUNT: Final = 10
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH: Final = 20
"""Characters of which nobody mistakes one for another: 99 bits."""
_GROUP: Final = 5


def new_codes() -> list[str]:
    """Return new codes, in groups that people can copy."""
    return [_code() for _ in range(COUNT)]


def digest_of_code(code: str) -> bytes:
    """Return what is stored of a code, however it was typed."""
    return digest_of("".join(code.lower().split()).replace("-", ""))


def _code() -> str:
    characters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return "-".join(characters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))

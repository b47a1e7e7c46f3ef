"""The form of API keys: `siq_<id>_<secret><checksum>`. No I/O.

The prefix lets scanners of repositories find a key that leaked, and the checksum lets them, and the
gateway, tell a key from any other text without a question to the database. At rest there is an HMAC
alone, under a key that no copy of the database has.
"""

import hmac
import secrets
import zlib
from hashlib import sha256
from typing import Final, NamedTuple

PREFIX: Final = "siq_"
MAX_KEY_LENGTH: Final = 80

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
"""Characters of 5.95 bits: 256 bits."""
_CHECKSUM_LENGTH: Final = 6


class ApiKeyText(NamedTuple):
    """An API key in clear text, and the id in it."""

    id: str
    text: str


def new_key() -> ApiKeyText:
    """Return a new API key."""
    key_id = _random(_ID_LENGTH)
    content = f"{PREFIX}{key_id}_{_random(_SECRET_LENGTH)}"
    return ApiKeyText(key_id, content + _checksum(content))


def read_key(text: str) -> ApiKeyText | None:
    """Return the key that a text is; None if it is none, or was mistyped."""
    if len(text) > MAX_KEY_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return None
    key_id, _, rest = text.removeprefix(PREFIX).partition("_")
    if len(key_id) != _ID_LENGTH or len(rest) != _SECRET_LENGTH + _CHECKSUM_LENGTH:
        return None
    if not set(key_id + rest) <= set(_ALPHABET):
        return None
    content = text[:-_CHECKSUM_LENGTH]
    return ApiKeyText(key_id, text) if text == content + _checksum(content) else None


def digest_of_key(material: bytes, text: str) -> bytes:
    """Return what is stored of an API key.

    Args:
        material: the gateway's own key for it.
        text: the API key.
    """
    return hmac.digest(material, text.encode(), sha256)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(content: str) -> str:
    number = zlib.crc32(content.encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))

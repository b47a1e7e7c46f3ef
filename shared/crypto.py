"""Secrets at rest: AES-256-GCM under a key derived from the installation's secret key.

Sources: NIST SP 800-38D (GCM), RFC 5869 (HKDF).
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from shared.errors import SentinelIQError

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12


class UnsealError(SentinelIQError):
    """A sealed secret does not open: its key or place is another, or its bytes were changed."""

    code = "unsealable"


class Sealer:
    """Seals secrets that must be read again, such as the signing secret of a webhook.

    Args:
        secret_key: the installation's secret key.
        purpose: the use of the secrets; a secret does not open under another purpose.
    """

    def __init__(self, secret_key: SecretStr, purpose: str) -> None:
        derivation = HKDF(SHA256(), length=32, salt=None, info=f"sentineliq/{purpose}/v1".encode())
        self._cipher = AESGCM(derivation.derive(secret_key.get_secret_value().encode()))

    def seal(self, secret: str, place: str) -> bytes:
        """Encrypt a secret.

        Args:
            secret: any text.
            place: the id of the row that stores it; a secret copied to another row does not open.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (
            _VERSION
            + nonce
            + self._cipher.encrypt(nonce, secret.encode(), _VERSION + place.encode())
        )

    def open_at(self, sealed: bytes, place: str, origin: str, *, accepts_any: bool = True) -> str:
        """Decrypt a secret that was sealed for an origin with `seal_at`.

        Args:
            sealed: the encrypted secret.
            place: the id of the row that stores it.
            origin: where it is to be used.
            accepts_any: whether one that an earlier version sealed for no origin opens, too.

        Raises:
            UnsealError: it was sealed under another key, or for another place or origin.
        """
        try:
            return self.open(sealed, _place_at(place, origin))
        except UnsealError:
            if not accepts_any:
                raise
            return self.open(sealed, place)

    def seal_at(self, secret: str, place: str, origin: str) -> bytes:
        """Encrypt a secret that is for one origin alone.

        Args:
            secret: any text.
            place: the id of the row that stores it.
            origin: scheme, host and port that it may be used with.
        """
        return self.seal(secret, _place_at(place, origin))

    def open(self, sealed: bytes, place: str) -> str:
        """Decrypt a secret.

        Raises:
            UnsealError: it was sealed under another key or for another place, or was changed.
        """
        version = sealed[:1]
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        ciphertext = sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, ciphertext, version + place.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnsealError(
                "A stored secret cannot be read: it was sealed under another "
                "SENTINELIQ_SECRET_KEY, or for another address. Set it anew."
            ) from error


def _place_at(place: str, origin: str) -> str:
    return f"{place} {origin}"

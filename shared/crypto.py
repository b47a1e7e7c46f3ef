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
                "SENTINELIQ_SECRET_KEY. Set it anew."
            ) from error

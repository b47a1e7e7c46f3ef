"""Keys, one per purpose and owner, derived from the installation's secret by HKDF (RFC 5869)."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr


def derive_key(secret: SecretStr, purpose: str, owner: str) -> bytes:
    """Derive a key of 32 bytes, from which neither the secret nor another key can be learned.

    Args:
        secret: the installation's.
        purpose: what the key is for, such as `events`.
        owner: the service that has it, such as `feeds`.
    """
    derivation = HKDF(SHA256(), length=32, salt=None, info=f"sentineliq/{purpose}/{owner}".encode())
    return derivation.derive(secret.get_secret_value().encode())

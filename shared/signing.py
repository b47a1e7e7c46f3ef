"""Signatures between the services: who made an event or a message of a queue.

Each service signs with a key of its own (Ed25519). Others verify with the public half, so that
nobody who can read a service's work can make it. A signature names its key; several keys of a
service may be valid at once, while a secret is being replaced.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.errors import InvalidInput
from shared.keys import SIGNERS, keys_of
from shared.settings import Settings

Purpose = Literal["events", "tasks"]
"""What is signed. A signature of one purpose is worth nothing for the other."""

MAX_SIGNATURE_LENGTH: Final = 256

_VERSION: Final = "1"
_CACHED: Final = 64


class Unauthentic(InvalidInput):
    """Nobody who may make it has signed it; the message says what is wrong."""

    code = "unauthentic"


def sign(settings: Settings, purpose: Purpose, signer: str, content: bytes) -> str:
    """Sign content with the signer's present key; return the signature, which names both.

    Raises:
        MissingKey: this process has no key of the signer.
    """
    key = keys_of(settings).private(purpose, signer)
    signature = _private(key.material).sign(_digest(signer, key.id, content))
    text = urlsafe_b64encode(signature).decode().rstrip("=")
    return f"{_VERSION}.{signer}.{key.id}.{text}"


def verify(settings: Settings, purpose: Purpose, signature: str, content: bytes) -> str:
    """Verify a signature; return its signer.

    Args:
        settings: name this process's keys.
        purpose: what is signed.
        signature: may be any text.
        content: what was signed.

    Raises:
        Unauthentic: the signature is of no such form, of a key that is not known, or wrong.
    """
    version, signer, key_id, text = _split(signature)
    if version != _VERSION or signer not in SIGNERS:
        raise Unauthentic("The signature is of no known version or signer.", field="signature")
    for key in keys_of(settings).public(purpose, signer):
        if key.id == key_id:
            break
    else:
        raise Unauthentic(f"The key of {signer} that signed it is not known.", field="signature")
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        _public(key.material).verify(decoded, _digest(signer, key_id, content))
    except (ValueError, InvalidSignature) as error:
        raise Unauthentic(f"The signature is not {signer}'s.", field="signature") from error
    return signer


def _split(signature: str) -> tuple[str, str, str, str]:
    parts = signature.split(".") if len(signature) <= MAX_SIGNATURE_LENGTH else []
    if len(parts) != 4:
        raise Unauthentic("The signature has no such form.", field="signature")
    return parts[0], parts[1], parts[2], parts[3]


def _digest(signer: str, key_id: str, content: bytes) -> bytes:
    digest = sha256(f"sentineliq/{_VERSION}/{signer}/{key_id}\n".encode())
    digest.update(content)
    return digest.digest()


@lru_cache(_CACHED)
def _private(material: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(material)


@lru_cache(_CACHED)
def _public(material: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(material)

"""Secrets at rest: AES-256-GCM under a key that the service alone has (`shared.keys`).

A sealed secret names its key from the time on when the installation's secret was first replaced:
processes of the version before, which know the first key alone, read what was sealed until then.
Source: NIST SP 800-38D (GCM).
"""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import SentinelIQError
from shared.keys import Key, Keys

_WITHOUT_ID: Final = b"\x01"
_WITH_ID: Final = b"\x02"
_NONCE_BYTES: Final = 12
_ID_BYTES: Final = 6


class UnsealError(SentinelIQError):
    """A sealed secret does not open: its key or place is another, or its bytes were changed."""

    code = "unsealable"


class Sealer:
    """Seals secrets that must be read again, such as the signing secret of a webhook.

    Args:
        keys: of the process.
        purpose: the use of the secrets; a secret does not open under another purpose.
    """

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = keys
        self._purpose = purpose

    @property
    def has_former_keys(self) -> bool:
        """Whether secrets may be sealed under a key that is to end."""
        return len(self._keys.secret(self._purpose)) > 1

    @property
    def prefix(self) -> bytes:
        """What all begins with that is sealed under the present key."""
        return _prefix(self._keys.secret(self._purpose)[0])

    def seal(self, secret: str, place: str) -> bytes:
        """Encrypt a secret.

        Args:
            secret: any text.
            place: the id of the row that stores it; a secret copied to another row does not open.
        """
        key = self._keys.secret(self._purpose)[0]
        prefix = _prefix(key)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(key.material).encrypt(nonce, secret.encode(), prefix + place.encode())
        return prefix + nonce + sealed

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
        length = 1 + _ID_BYTES if sealed[:1] == _WITH_ID else 1
        prefix = sealed[:length]
        nonce = sealed[length : length + _NONCE_BYTES]
        ciphertext = sealed[length + _NONCE_BYTES :]
        for key in self._keys.secret(self._purpose):
            if sealed[:1] == _WITH_ID and prefix != _WITH_ID + bytes.fromhex(key.id):
                continue
            with suppress(InvalidTag, ValueError):
                opened = AESGCM(key.material).decrypt(nonce, ciphertext, prefix + place.encode())
                return opened.decode()
        raise UnsealError(
            "A stored secret cannot be read: it was sealed under another "
            "SENTINELIQ_SECRET_KEY, or for another address. Set it anew."
        )

    def reseal(self, sealed: bytes, places: Iterable[str]) -> bytes:
        """Seal a secret anew, under the present key, for the place that it was sealed for.

        Args:
            sealed: the encrypted secret.
            places: those that it may have been sealed for, as `seal` took them.

        Raises:
            UnsealError: it opens at none of them.
        """
        for place in places:
            with suppress(UnsealError):
                return self.seal(self.open(sealed, place), place)
        raise UnsealError("A stored secret cannot be sealed anew: no key opens it.")


def places_of(place: str, origin: str) -> tuple[str, str]:
    """Return what `reseal` takes for a secret of one origin, or of a version before."""
    return _place_at(place, origin), place


def _prefix(key: Key) -> bytes:
    return _WITHOUT_ID if key.since is None else _WITH_ID + bytes.fromhex(key.id)


def _place_at(place: str, origin: str) -> str:
    return f"{place} {origin}"

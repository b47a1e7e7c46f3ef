"""Passwords: which may be chosen, and what is stored of them. No I/O.

Argon2id (RFC 9106) with 19 MiB and two passes. A password is compared with a hash of the same cost
when there is no account, so that the time of an answer does not tell whether there is.

Source of the rules: NIST SP 800-63B, section 3.1.1.2: length counts, composition does not.
"""

import os
import re
import unicodedata
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from shared.errors import InvalidInput

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
PREFIX: Final = "$argon2id$v=19$m=19456,t=2,p=1$"
"""What all begins with that is stored at the present cost."""

_PASSES: Final = 2
_MEMORY_KIB: Final = 19_456
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_FEWEST_CHARACTERS: Final = 5
_FEWEST_DIGITS: Final = 8
_SHORTEST_PART: Final = 4
_WORDS: Final = (
    "password",
    "passwort",
    "sentineliq",
    "qwertz",
    "qwerty",
    "asdfgh",
    "letmein",
    "welcome",
    "iloveyou",
    "dragon",
    "monkey",
    "football",
    "changeme",
    "administrator",
    "admin",
    "operator",
    "secret",
    "summer",
    "winter",
)
_RUNS: Final = ("0123456789012345678901234567890", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponml")
_NOT_LETTERS: Final = re.compile(r"[\W\d_]+")


def check_policy(password: str, login: str) -> None:
    """Require that a password may be chosen.

    Args:
        password: as it was typed.
        login: the person's.

    Raises:
        InvalidInput: it is too short, too long, or easily guessed; the message says which.
    """
    plain = _normalized(password)
    if len(plain) < MIN_LENGTH:
        raise _refused(f"A password has at least {MIN_LENGTH} characters.")
    if len(plain) > MAX_LENGTH:
        raise _refused(f"A password has at most {MAX_LENGTH} characters.")
    if len(set(plain)) < _FEWEST_CHARACTERS:
        raise _refused("The password repeats a few characters.")
    lowered = plain.lower()
    parts = [part for part in re.split(r"[^a-z0-9]+", login.lower()) if len(part) >= _SHORTEST_PART]
    rest = lowered
    for part in (*parts, *_WORDS):
        rest = rest.replace(part, "")
    if sum(map(str.isalnum, rest)) < MIN_LENGTH // 2:
        raise _refused("The password is made of your login and of words that are tried first.")
    has_few_letters = len(_NOT_LETTERS.sub("", rest)) == 0 and len(rest) < _FEWEST_DIGITS
    if has_few_letters or any(lowered in run for run in _RUNS):
        raise _refused("The password is a run of characters that is tried first.")


def hash_password(password: str) -> str:
    """Return what is stored of a password, in the format of PHC strings."""
    salt = os.urandom(_SALT_BYTES)
    return _kdf(salt).derive_phc_encoded(_normalized(password).encode())


def is_password(password: str, stored: str | None) -> bool:
    """Whether a password is that of a stored hash; the time is the same without one.

    Args:
        password: any text.
        stored: the hash; None if there is no account, or it has no password.
    """
    if len(password) > MAX_LENGTH:
        password = ""
    try:
        Argon2id.verify_phc_encoded(_normalized(password).encode(), stored or _nobody())
    except (InvalidKey, ValueError):
        return False
    return stored is not None


@cache
def _nobody() -> str:
    """Return the hash of a password that is stored nowhere."""
    return hash_password(os.urandom(_HASH_BYTES).hex())


def _kdf(salt: bytes) -> Argon2id:
    return Argon2id(
        salt=salt,
        length=_HASH_BYTES,
        iterations=_PASSES,
        lanes=1,
        memory_cost=_MEMORY_KIB,
    )


def _normalized(password: str) -> str:
    # The same characters come in other code points from other keyboards.
    return unicodedata.normalize("NFKC", password)


def _refused(message: str) -> InvalidInput:
    return InvalidInput(message, field="password")

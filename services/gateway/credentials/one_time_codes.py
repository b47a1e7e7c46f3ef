"""One-time codes by time (RFC 6238): each counts once. No I/O."""

import hmac
from typing import Final

import pyotp

STEP_SECONDS: Final = 30
_DRIFT: Final = 1
"""Steps by which the clock of a phone may be off, in both directions."""
_ISSUER: Final = "SentinelIQ"


def new_secret() -> str:
    """Return a new secret: 160 bits in Base32."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, login: str) -> str:
    """Return the address that authenticators read from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(
        name=login, issuer_name=_ISSUER
    )


def accepted_step(secret: str, code: str, now: float, last_step: int) -> int | None:
    """Return the time step that a code is of; None if it is not valid at present.

    Args:
        secret: in Base32.
        code: six digits; may be any text.
        now: seconds since 1970, by the database's clock.
        last_step: of the code that was accepted last; neither it nor an earlier one counts again.
    """
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    current = int(now) // STEP_SECONDS
    accepted = None
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        # All are compared, so that the time does not tell which step is the right one.
        is_same = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if is_same and step > last_step:
            accepted = step
    return accepted

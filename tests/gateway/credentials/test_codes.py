"""One-time codes count once; recovery codes can be copied by hand."""

import pyotp
import pytest

from services.gateway.credentials.one_time_codes import (
    STEP_SECONDS,
    accepted_step,
    new_secret,
    provisioning_uri,
)
from services.gateway.credentials.recovery_codes import COUNT, digest_of_code, new_codes

NOW = 1_900_000_000.0
STEP = int(NOW) // STEP_SECONDS


def code_at(secret: str, steps: int) -> str:
    return pyotp.TOTP(secret).generate_otp(STEP + steps)


def test_a_code_counts_once() -> None:
    secret = new_secret()
    code = code_at(secret, 0)
    assert accepted_step(secret, code, NOW, 0) == STEP
    assert accepted_step(secret, code, NOW, STEP) is None
    assert accepted_step(secret, code_at(secret, -1), NOW, STEP) is None, "an earlier one"
    assert accepted_step(secret, code_at(secret, 1), NOW, STEP) == STEP + 1


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_the_clock_of_a_phone_may_be_off_by_half_a_minute(steps: int, is_accepted: bool) -> None:
    secret = new_secret()
    accepted = accepted_step(secret, code_at(secret, steps), NOW, 0)
    assert accepted == (STEP + steps if is_accepted else None)


@pytest.mark.parametrize("code", ["", "abcdef", "12345", "1234567", "١٢٣٤٥٦", "\x00" * 6])
def test_other_texts_are_no_code(code: str) -> None:
    assert accepted_step(new_secret(), code, NOW, 0) is None


def test_authenticators_read_the_address() -> None:
    secret = new_secret()
    parsed = pyotp.parse_uri(provisioning_uri(secret, "kim@acme.example"))
    assert (parsed.secret, parsed.name, parsed.issuer) == (
        secret,
        "kim@acme.example",
        "SentinelIQ",
    )


def test_recovery_codes_are_many_and_different() -> None:
    codes = new_codes()
    assert len(set(codes)) == COUNT
    assert all(len(code.replace("-", "")) == 20 for code in codes)


def test_a_recovery_code_is_read_however_it_is_typed() -> None:
    code = new_codes()[0]
    typed = f" {code.upper().replace('-', ' ')} "
    assert digest_of_code(typed) == digest_of_code(code)
    assert digest_of_code(code[:-1]) != digest_of_code(code)

"""Which passwords may be chosen, and what is stored of them."""

import statistics
import time

import pytest

from services.gateway.credentials.passwords import (
    MAX_LENGTH,
    PREFIX,
    check_policy,
    hash_password,
    is_password,
)
from shared.errors import InvalidInput


@pytest.mark.parametrize(
    "password",
    ["nine blue herons at dawn", "пять синих цапель", "x7Kp2mQvL9sRt", "a" * 5 + "bcdxyzqrst"],
)
def test_a_long_password_may_be_chosen(password: str) -> None:
    check_policy(password, "kim@acme.example")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short one 1", "at least 12"),
        ("x" * (MAX_LENGTH + 1), "at most"),
        ("aaaaaaaaaaaabbbb", "repeats"),
        ("password password", "tried first"),
        ("stone@acme-2026!!", "tried first"),
        ("SentinelIQ-admin1", "tried first"),
        ("012345678901", "tried first"),
        ("abcdefghijklm", "tried first"),
        ("", "at least 12"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refusal:
        check_policy(password, "kim.stone@acme.example")
    assert refusal.value.details["field"] == "password"


def test_only_the_same_password_matches_a_hash() -> None:
    stored = hash_password("nine blue herons at dawn")
    assert stored.startswith(PREFIX)
    assert is_password("nine blue herons at dawn", stored)
    assert not is_password("nine blue herons at dusk", stored)
    assert not is_password("", stored)
    assert not is_password("x" * (MAX_LENGTH + 1), stored)
    assert stored != hash_password("nine blue herons at dawn"), "the salt is another each time"


def test_the_same_characters_match_however_they_were_typed() -> None:
    assert is_password("cafe\u0301 at the corner", hash_password("caf\u00e9 at the corner"))


@pytest.mark.parametrize("stored", ["", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "nonsense"])
def test_a_damaged_hash_matches_nothing(stored: str) -> None:
    assert not is_password("nine blue herons at dawn", stored)


def test_no_account_costs_as_much_as_a_wrong_password() -> None:
    stored = hash_password("nine blue herons at dawn")
    is_password("first use", None)

    def median(present: str | None) -> float:
        times = []
        for _ in range(5):
            started = time.thread_time()
            assert not is_password("a wrong password", present)
            times.append(time.thread_time() - started)
        return statistics.median(times)

    ratio = median(None) / median(stored)
    assert 0.4 < ratio < 2.5

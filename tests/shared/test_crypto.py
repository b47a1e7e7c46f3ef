"""Secrets at rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.crypto import Sealer, UnsealError

KEY = SecretStr("a-secret-key-for-tests-of-more-than-32-characters")


@given(st.text(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_again(secret, place):
    sealer = Sealer(KEY, "tests")
    sealed = sealer.seal(secret, place)
    assert sealer.open(sealed, place) == secret
    assert sealer.seal(secret, place) != sealed
    if len(secret) > 3:
        assert secret.encode() not in sealed


@pytest.mark.parametrize("position", [0, 5, -1])
def test_it_opens_only_unchanged_in_its_place_with_its_key_and_purpose(position):
    sealed = Sealer(KEY, "tests").seal("whsec_x", "row 1")
    changed = bytearray(sealed)
    changed[position] ^= 1
    for sealer, box, place in [
        (Sealer(KEY, "tests"), bytes(changed), "row 1"),
        (Sealer(KEY, "tests"), sealed, "row 2"),
        (Sealer(KEY, "other"), sealed, "row 1"),
        (Sealer(SecretStr("another key of at least 32 characters"), "tests"), sealed, "row 1"),
        (Sealer(KEY, "tests"), b"", "row 1"),
    ]:
        with pytest.raises(UnsealError, match="SENTINELIQ_SECRET_KEY"):
            sealer.open(box, place)

"""Secrets at rest."""

import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.crypto import Sealer, UnsealError, places_of
from shared.keys import DerivedKeys, Key, KeyBundle

SECRET = SecretStr("a-secret-key-for-tests-of-more-than-32-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")
KEY = DerivedKeys(SECRET)


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
        (Sealer(DerivedKeys(OTHER), "tests"), sealed, "row 1"),
        (Sealer(KEY, "tests"), b"", "row 1"),
    ]:
        with pytest.raises(UnsealError, match="SENTINELIQ_SECRET_KEY"):
            sealer.open(box, place)


def rotated(*, until: float | None = None) -> DerivedKeys:
    """The keys after the installation's secret was replaced."""
    former = [
        Key(key.purpose, key.owner, key.kind, key.material, until=until or time.time() + 60)
        for key in KEY.secret("tests")
    ]
    return DerivedKeys(OTHER, former, since=time.time())


def sealed_by_the_version_before(secret: str, place: str) -> bytes:
    derivation = HKDF(SHA256(), length=32, salt=None, info=b"sentineliq/tests/v1")
    cipher = AESGCM(derivation.derive(SECRET.get_secret_value().encode()))
    return b"\1" + b"n" * 12 + cipher.encrypt(b"n" * 12, secret.encode(), b"\1" + place.encode())


def test_what_the_version_before_has_sealed_opens():
    sealed = sealed_by_the_version_before("whsec_x", "row 1")
    assert Sealer(KEY, "tests").open(sealed, "row 1") == "whsec_x"
    assert Sealer(rotated(), "tests").open(sealed, "row 1") == "whsec_x"


def test_the_version_before_reads_what_is_sealed_until_a_secret_is_replaced():
    assert Sealer(KEY, "tests").seal("whsec_x", "row 1")[:1] == b"\1"
    assert Sealer(rotated(), "tests").seal("whsec_x", "row 1")[:1] == b"\2"


def test_a_former_key_opens_until_it_ends():
    sealed = Sealer(KEY, "tests").seal_at("whsec_x", "row 1", "https://a")
    assert Sealer(rotated(), "tests").open_at(sealed, "row 1", "https://a") == "whsec_x"
    with pytest.raises(UnsealError):
        Sealer(rotated(until=time.time() - 1), "tests").open_at(sealed, "row 1", "https://a")


def test_a_secret_that_was_sealed_anew_needs_the_present_key_alone():
    sealer = Sealer(rotated(), "tests")
    places = places_of("row 1", "https://a")
    for former in (
        Sealer(KEY, "tests").seal_at("whsec_x", "row 1", "https://a"),
        Sealer(KEY, "tests").seal("whsec_x", "row 1"),
    ):
        assert not former.startswith(sealer.prefix)
        anew = sealer.reseal(former, places)
        assert anew.startswith(sealer.prefix)
        alone = Sealer(DerivedKeys(OTHER, since=1.0), "tests")
        assert alone.open_at(anew, "row 1", "https://a") == "whsec_x"
        with pytest.raises(UnsealError):
            alone.open(anew, "row 2")
    with pytest.raises(UnsealError):
        sealer.reseal(former, places_of("row 1", "https://b")[:1])


def test_a_process_opens_with_its_keys_alone():
    keys = KeyBundle(KEY.secret("tests"))
    sealed = Sealer(KEY, "tests").seal("whsec_x", "row 1")
    assert Sealer(keys, "tests").open(sealed, "row 1") == "whsec_x"

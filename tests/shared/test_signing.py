"""A signature is its signer's, for its purpose and its content, and nothing else is."""

import time
from dataclasses import replace

import pytest
from pydantic import SecretStr

from shared.keys import (
    OPERATOR,
    SIGNED_PURPOSES,
    SIGNERS,
    KeyBundle,
    MissingKey,
    bundle_json,
    granted_keys,
    keys_of,
)
from shared.settings import Settings
from shared.signing import Purpose, Unauthentic, sign, verify

SECRET = "a-secret-key-for-tests-of-more-than-32-characters"


def settings_of(secret: str = SECRET) -> Settings:
    return Settings.model_construct(secret_key=SecretStr(secret))


def signed(signer: str, content: bytes, secret: str = SECRET, purpose: Purpose = "events") -> str:
    return sign(settings_of(secret), purpose, signer, content)


@pytest.mark.parametrize("signer", ["feeds", "observables", OPERATOR])
def test_a_signature_names_its_signer(signer: str) -> None:
    assert verify(settings_of(), "events", signed(signer, b"x"), b"x") == signer


def test_every_signer_and_purpose_has_a_key_of_its_own() -> None:
    names = {
        keys_of(settings_of()).private(purpose, signer).id
        for purpose in SIGNED_PURPOSES
        for signer in ("feeds", "mitre", OPERATOR)
    }
    assert len(names) == 6


GOOD = signed("feeds", b"x")
WRONG = {
    "of other content": (GOOD, b"y"),
    "of another installation": (
        signed("feeds", b"x", "another-secret-of-more-than-32-characters"),
        b"x",
    ),
    "of another purpose": (signed("feeds", b"x", purpose="tasks"), b"x"),
    "under another name": (GOOD.replace("feeds", "mitre"), b"x"),
    "under another key's name": (
        ".".join(["1", "mitre", signed("mitre", b"x").split(".")[2], GOOD.split(".")[3]]),
        b"x",
    ),
    "of a signer that is none": (GOOD.replace("feeds", "nobody"), b"x"),
    "of another version": (f"2{GOOD[1:]}", b"x"),
    "cut": (GOOD[:-3], b"x"),
    "too long": (GOOD + "A" * 300, b"x"),
    "empty": ("", b"x"),
    "no base 64": (GOOD[:-4] + "é\0é\0", b"x"),
    "of too many parts": (f"{GOOD}.x", b"x"),
}


@pytest.mark.parametrize(("signature", "content"), WRONG.values(), ids=WRONG)
def test_what_is_no_signature_of_the_content_is_refused(signature: str, content: bytes) -> None:
    with pytest.raises(Unauthentic):
        verify(settings_of(), "events", signature, content)


def test_a_service_has_its_own_keys_to_sign_with_and_the_public_ones_of_all() -> None:
    installation_keys = keys_of(settings_of())
    bundle = KeyBundle(granted_keys("mitre", installation_keys))
    for purpose in SIGNED_PURPOSES:
        assert bundle.private(purpose, "mitre") == installation_keys.private(purpose, "mitre")
        for signer in SIGNERS:
            assert bundle.public(purpose, signer) == installation_keys.public(purpose, signer)
            if signer != "mitre":
                with pytest.raises(MissingKey):
                    bundle.private(purpose, signer)


def test_a_key_of_before_verifies_until_it_ends() -> None:
    before = keys_of(settings_of("the-secret-of-before-of-more-than-32-characters"))
    old = signed("feeds", b"x", "the-secret-of-before-of-more-than-32-characters")
    with pytest.raises(Unauthentic, match="not known"):
        verify(settings_of(), "events", old, b"x")
    present = keys_of(settings_of())
    for until, is_valid in ((time.time() + 60, True), (time.time() - 60, False)):
        former = [replace(key, until=until) for key in before.public("events", "feeds")]
        bundle = bundle_json([*granted_keys("mitre", present), *former])
        own = Settings.model_construct(secret_key=None, keys=SecretStr(bundle))
        assert verify(own, "events", signed("feeds", b"x"), b"x") == "feeds"
        if is_valid:
            assert verify(own, "events", old, b"x") == "feeds"
        else:
            with pytest.raises(Unauthentic):
                verify(own, "events", old, b"x")

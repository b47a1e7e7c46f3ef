"""Derived keys: one per purpose and owner, the same at each start."""

from itertools import combinations

from pydantic import SecretStr

from shared.keys import derive_key

SECRET = SecretStr("one-secret-key-of-more-than-thirty-two-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")


def test_a_key_is_the_same_each_time() -> None:
    assert derive_key(SECRET, "events", "feeds") == derive_key(SECRET, "events", "feeds")


def test_no_two_purposes_owners_or_secrets_share_a_key() -> None:
    keys = [
        derive_key(secret, purpose, owner)
        for secret in (SECRET, OTHER)
        for purpose in ("events", "tasks")
        for owner in ("feeds", "mitre")
    ]
    assert all(first != second for first, second in combinations(keys, 2))
    assert {len(key) for key in keys} == {32}

"""The form of API keys: another text is told from a key without the database."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.api_keys.key_format import MAX_KEY_LENGTH, digest_of_key, new_key, read_key

FORM = re.compile(r"siq_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def test_a_new_key_has_the_form_and_is_read_again() -> None:
    key = new_key()
    assert FORM.fullmatch(key.text)
    assert len(key.text) <= MAX_KEY_LENGTH
    assert read_key(key.text) == key
    assert new_key().text != key.text


@given(st.integers(0, 65), st.sampled_from("09AZaz_-. \n\u0660"))
def test_a_key_that_was_mistyped_is_none(place: int, character: str) -> None:
    text = new_key().text
    changed = text[:place] + character + text[place + 1 :]
    assert changed == text or read_key(changed) is None


@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert read_key(text) is None
    assert read_key(f"siq_{text}") is None


@pytest.mark.parametrize("cut", [-1, 1, 20])
def test_a_part_of_a_key_is_none(cut: int) -> None:
    assert read_key(new_key().text[:cut]) is None


def test_what_is_stored_needs_the_gateways_own_key() -> None:
    text = new_key().text
    assert digest_of_key(b"k" * 32, text) == digest_of_key(b"k" * 32, text)
    assert digest_of_key(b"k" * 32, text) != digest_of_key(b"l" * 32, text)

# ruff: noqa: RUF001, RUF003 - letters that pass for others are what this is about
"""How names look: random letters, and letters that pass for others."""

import random
import string
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference.enrichers.domain_shape import (
    BRANDS,
    THRESHOLD,
    DomainShapeEnricher,
    dga_many,
    skeleton,
)
from tests.observables.reference.enrichers.contract import OfflineContract

ENRICHER = DomainShapeEnricher()


def dga(label: str) -> float | None:
    return dga_many([label])[0]


ALPHABETS = {
    "letters": string.ascii_lowercase,
    "letters and digits": string.ascii_lowercase + string.digits,
    "hexadecimal": "0123456789abcdef",
    "base 32": string.ascii_lowercase + "234567",
}


def about(name: str):
    return ENRICHER.enrich("domain-name", [name])[0]


def written(label: str) -> str:
    return f"xn--{label.encode('punycode').decode()}.com"


class TestContract(OfflineContract):
    described: ClassVar = {
        "domain-name": [
            "xjwqkzvbnmhtrd.com",
            "a.qx7zk2vj9w4t.co.uk",
            "xn--pypal-4ve.com",
            "paypa1.com",
        ],
        "url": ["http://xjwqkzvbnmhtrd.com/a", "https://xn--pypal-4ve.com/"],
    }
    undescribed: ClassVar = {
        "domain-name": ["example.com", "paypal.com", "co.uk", "xn--bcher-kva.de"],
        "url": ["http://192.0.2.1/", "http://example.com/xjwqkzvbnmhtrd", "http://[2001:db8::1]/"],
    }

    @classmethod
    def make(cls):
        return DomainShapeEnricher()


POPULAR = """
,     *[          ,          ,          ,          ,          ,          ,          ,          ,
,          ,          ,          ,          ,          ,          ,          ,          ,
,          ,          ,          ,          ,          ,
"""


class TestRandomLetters:
    @pytest.mark.parametrize("label", ["", *POPULAR.split()])
    def test_labels_that_people_write_are_not_random(self, label):
        assert dga(label) is None

    @pytest.mark.parametrize(
        "label",
        ["xjwqkzvbnmhtrd", "qx7zk2vj9w4t", "kq3v9z8x7w", "f3a91c07be42d865", "vqzkxjhwpfbg"],
    )
    def test_random_labels_are_random(self, label):
        assert THRESHOLD <= dga(label) <= 1

    @pytest.mark.parametrize(
        ("alphabet", "share"),
        [("letters", 0.85), ("letters and digits", 0.97), ("hexadecimal", 0.95), ("base 32", 0.95)],
    )
    def test_most_labels_of_twelve_random_characters_are_found(self, alphabet, share):
        rng = random.Random(1)  # noqa: S311  # repeatable, not secret
        labels = ["".join(rng.choices(ALPHABETS[alphabet], k=12)) for _ in range(2000)]
        assert sum(dga(label) is not None for label in labels) >= share * len(labels)

    def test_no_often_imitated_brand_looks_random(self):
        assert [name for name in BRANDS if about(name)] == []

    def test_only_the_label_that_was_registered_counts(self):
        assert about("xjwqkzvbnmhtrd.example.com") is None
        assert (
            about("www.xjwqkzvbnmhtrd.com")
            == about("xjwqkzvbnmhtrd.com")
            == {"dga": pytest.approx(1, abs=0.05)}
        )

    def test_names_that_a_companys_machines_choose_are_left_alone(self):
        assert about("d111xzq8vbkwjf.cloudfront.net") is None

    @given(st.text(string.ascii_lowercase + string.digits + "_-", max_size=63))
    def test_any_label_is_scored_within_bounds(self, label):
        score = dga(label)
        assert score is None or THRESHOLD <= score <= 1

    def test_it_closes_a_fifth_of_the_doubt(self):
        (effect,) = ENRICHER.effects({"dga": 0.93})
        assert effect.weight == 0.2
        assert "0.93" in effect.reason


class TestLookalikes:
    @pytest.mark.parametrize(
        ("label", "brand"),
        [
            ("pаypal", "paypal.com"),  # Cyrillic а
            ("аррӏе", "apple.com"),  # Cyrillic throughout
            ("gооgle", "google.com"),
            ("miсrоsоft", "microsoft.com"),
            ("αmαzon", "amazon.com"),  # Greek
            ("fàcebóok", "facebook.com"),
            ("ıcloud", "icloud.com"),
            ("ɢɪᴛʜᴜʙ", "github.com"),
            (
                "netfⅼix",
                None,
            ),  # a Roman numeral: NFKD makes it an l, but names are stored with the l
        ],
    )
    def test_letters_that_pass_for_others_are_seen_through(self, label, brand):
        if brand:
            assert about(written(label)) == {"lookalike_of": brand}
            assert ENRICHER.enrich("url", [f"http://login.{written(label)}/a"])[0] == {
                "lookalike_of": brand
            }
        else:
            assert skeleton(label) == "netflix"

    @pytest.mark.parametrize(
        ("name", "brand"),
        [
            ("paypa1.com", "paypal.com"),
            ("g00gle.net", "google.com"),
            ("micr0soft.co.uk", "microsoft.com"),
        ],
    )
    def test_digits_that_pass_for_letters_too(self, name, brand):
        assert about(name) == {"lookalike_of": brand}

    def test_genuine_names_imitate_no_other(self):
        assert [name for name in BRANDS if "lookalike_of" in (about(f"www.{name}") or {})] == []

    @pytest.mark.parametrize("label", ["tмаркетster", "αbc", "дomain"])
    def test_mixed_scripts_are_reported_without_an_imitated_name(self, label):
        assert about(written(label)) == {"mixed_scripts": True}

    @pytest.mark.parametrize(
        "label", ["bücher", "пример", "παράδειγμα", "例え", "日本のtv", "한국abc", "россия24"]
    )
    def test_names_in_other_languages_are_no_deceit(self, label):
        assert about(written(label)) is None

    @pytest.mark.parametrize("name", ["xn--.com", "xn--99999999999.com", "xn--a.com", "xn--0.com"])
    def test_what_is_no_punycode_says_nothing(self, name):
        assert "lookalike_of" not in (about(name) or {})

    @given(st.from_regex(r"xn--[a-z0-9-]{0,59}", fullmatch=True))
    def test_no_label_breaks_it(self, label):
        facts = about(f"{label}.com")
        assert facts is None or "dga" not in facts

    @given(st.text(max_size=30))
    def test_a_skeleton_is_its_own(self, text):
        assert skeleton(skeleton(text)) == skeleton(text)

    def test_it_closes_two_fifths_of_the_doubt_and_mixing_alone_nothing(self):
        (effect,) = ENRICHER.effects({"lookalike_of": "paypal.com"})
        assert effect.weight == 0.4
        assert "paypal.com" in effect.reason
        assert list(ENRICHER.effects({"mixed_scripts": True})) == []

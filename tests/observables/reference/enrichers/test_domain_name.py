"""Names taken apart by the public suffix list."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference.enrichers.domain_name import (
    DomainNameEnricher,
    name_of,
    read_rules,
    split,
)
from tests.observables.reference.enrichers.contract import OfflineContract


class TestContract(OfflineContract):
    known: ClassVar = {
        "domain-name": [
            "example.com",
            "www.example.co.uk",
            "co.uk",
            "a.github.io",
            "xn--bcher-kva.example.xn--p1ai",
        ],
        "url": [
            "http://www.example.co.uk/a",
            "https://user@example.com:8443/",
            "http://a.github.io/",
        ],
        "email-addr": ["someone@mail.example.com"],
    }
    unknown: ClassVar = {"url": ["http://192.0.2.1/", "http://[2001:db8::1]/"]}

    @classmethod
    def make(cls):
        return DomainNameEnricher()


@pytest.mark.parametrize(
    ("name", "registrable", "suffix", "private"),
    [
        ("example.com", "example.com", "com", False),
        ("a.b.example.co.uk", "example.co.uk", "co.uk", False),
        ("co.uk", None, "co.uk", False),
        ("com", None, "com", False),
        # Anyone may have a page there, so it is a suffix, though a company's.
        ("pages.someone.github.io", "someone.github.io", "github.io", True),
        ("github.io", None, "github.io", True),
        ("www.github.com", "github.com", "com", False),
        # *.ck and !www.ck: every name below .ck is a suffix, but for one.
        ("a.b.ck", "a.b.ck", "b.ck", False),
        ("b.ck", None, "b.ck", False),
        ("ck", None, "ck", False),
        ("a.www.ck", "www.ck", "ck", False),
        ("x.city.kobe.jp", "city.kobe.jp", "kobe.jp", False),
        ("x.y.z.kobe.jp", "y.z.kobe.jp", "z.kobe.jp", False),
        # Longer rules whose shorter forms are none.
        ("a.b.s3.amazonaws.com", "b.s3.amazonaws.com", "s3.amazonaws.com", True),
        ("b.other.amazonaws.com", "amazonaws.com", "com", False),
        # Rules in other scripts, in the form names are stored in.
        ("a.xn--bcher-kva.xn--55qx5d.cn", "xn--bcher-kva.xn--55qx5d.cn", "xn--55qx5d.cn", False),
        # Name spaces beside the DNS, which no rule knows: the last label is the suffix.
        ("www.abcdefghij234567.onion", "abcdefghij234567.onion", "onion", False),
    ],
)
def test_names_are_taken_apart(name, registrable, suffix, private):
    assert split(name) == (registrable, suffix, private)


def test_facts_are_compact():
    assert list(
        DomainNameEnricher().enrich("domain-name", ["www.example.co.uk", "co.uk", "x.github.io"])
    ) == [
        {"registrable": "example.co.uk", "suffix": "co.uk"},
        {"suffix": "co.uk"},
        {"registrable": "x.github.io", "suffix": "github.io", "private": True},
    ]


@pytest.mark.parametrize(
    ("type_", "value", "name"),
    [
        ("domain-name", "example.com", "example.com"),
        ("email-addr", "a@b@example.com", "example.com"),
        ("url", "http://example.com./", "example.com"),
        ("url", "irc://Example.COM", "example.com"),
        ("url", "http://*.example.com/", "example.com"),
        ("url", "http://192.0.2.1:80/", ""),
        ("url", "http://[2001:db8::1]/", ""),
        ("url", "http://server1/", "server1"),
    ],
)
def test_the_name_in_a_value(type_, value, name):
    assert name_of(type_, value) == name


def test_how_a_name_is_made_up_is_no_judgement():
    assert list(DomainNameEnricher().effects({"suffix": "com"})) == []


LABEL = st.sampled_from(["a", "b", "c", "d"])
NAME = st.lists(LABEL, min_size=1, max_size=7).map(".".join)
RULES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "*.", "!"]), st.lists(LABEL, min_size=1, max_size=4).map(".".join)
    ),
    max_size=12,
)


def naive(name: str, rules: list[tuple[str, str]]) -> tuple[str | None, str]:
    """The algorithm of publicsuffix.org, word for word: an exception prevails, then the rule with most labels."""
    labels = name.split(".")

    def matches(rule: list[str]) -> bool:
        return len(rule) <= len(labels) and all(
            mine in {"*", other}
            for mine, other in zip(reversed(rule), reversed(labels), strict=False)
        )

    exceptions = [rule.split(".") for mark, rule in rules if mark == "!"]
    others = [
        ["*"],
        *((("*." if mark else "") + rule).split(".") for mark, rule in rules if mark != "!"),
    ]
    hit = [rule for rule in exceptions if matches(rule)]
    length = (
        len(max(hit, key=len)) - 1 if hit else max(len(rule) for rule in others if matches(rule))
    )
    suffix = ".".join(labels[len(labels) - length :])
    return (".".join(labels[len(labels) - length - 1 :]) if length < len(labels) else None), suffix


@given(NAME, RULES)
def test_any_list_is_applied_as_publicsuffix_org_says(name, rules):
    # An exception is written for a wildcard: without one, it would mean nothing.
    wild = {rule for mark, rule in rules if mark == "*."}
    rules = [
        (mark, rule) for mark, rule in rules
        if mark != "!" or (rule.partition(".")[2] in wild and ("", rule) not in rules)
    ]  # fmt: skip
    longer = {rule for mark, rule in rules if mark == "!"}
    rules = [(mark, rule) for mark, rule in rules if not any(rule.endswith(f".{one}") or (mark == "*." and rule == one)
             for one in longer)]  # fmt: skip
    read = read_rules("\n".join(mark + rule for mark, rule in rules))
    assert split(name, read)[:2] == naive(name, rules)


def test_a_list_is_read_with_its_comments_and_its_sections():
    text = "// a\n\ncom // the usual\n*.ck\n!www.ck\n公司.cn\n// ===BEGIN PRIVATE DOMAINS===\ngithub.io\n"
    rules = read_rules(text)
    assert rules.plain == {"com": False, "xn--55qx5d.cn": False, "github.io": True}
    assert (rules.wildcards, rules.exceptions) == ({"ck": False}, {"www.ck": False})

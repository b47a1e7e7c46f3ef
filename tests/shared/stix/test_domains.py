"""Domains split by the public suffix list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stix.domains import parse_suffix_rules, split_domain


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
def test_names_are_split(name, registrable, suffix, private):
    assert split_domain(name) == (registrable, suffix, private)


LABEL = st.sampled_from(["a", "b", "c", "d"])
NAME = st.lists(LABEL, min_size=1, max_size=7).map(".".join)
RULES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "*.", "!"]), st.lists(LABEL, min_size=1, max_size=4).map(".".join)
    ),
    max_size=12,
)


def naive(name: str, rules: list[tuple[str, str]]) -> tuple[str | None, str]:
    """The algorithm of publicsuffix.org: an exception prevails, then the rule with most labels."""
    labels = name.split(".")

    def matches(rule: list[str]) -> bool:
        if len(rule) > len(labels):
            return False
        pairs = zip(reversed(rule), reversed(labels), strict=False)
        return all(pattern in {"*", label} for pattern, label in pairs)

    exceptions = [rule.split(".") for mark, rule in rules if mark == "!"]
    others = [["*"]]
    others += [(("*." if mark else "") + rule).split(".") for mark, rule in rules if mark != "!"]
    # An exception takes its own first label away.
    matching = [rule[1:] for rule in exceptions if matches(rule)]
    matching = matching or [rule for rule in others if matches(rule)]
    length = max(map(len, matching))
    suffix = ".".join(labels[len(labels) - length :])
    if length == len(labels):
        return None, suffix
    return ".".join(labels[len(labels) - length - 1 :]), suffix


@given(NAME, RULES)
def test_any_list_is_applied_as_publicsuffix_org_says(name, rules):
    # An exception is written for a wildcard: without one, it would mean nothing.
    wildcards = {rule for mark, rule in rules if mark == "*."}
    rules = [
        (mark, rule)
        for mark, rule in rules
        if mark != "!" or (rule.partition(".")[2] in wildcards and ("", rule) not in rules)
    ]
    exceptions = {rule for mark, rule in rules if mark == "!"}

    def below_exception(mark: str, rule: str) -> bool:
        return any(
            rule.endswith(f".{exception}") or (mark == "*." and rule == exception)
            for exception in exceptions
        )

    rules = [(mark, rule) for mark, rule in rules if not below_exception(mark, rule)]
    parsed = parse_suffix_rules("\n".join(mark + rule for mark, rule in rules))
    assert split_domain(name, parsed)[:2] == naive(name, rules)


def test_a_list_is_read_with_its_comments_and_its_sections():
    text = (
        "// a\n\ncom // the usual\n*.ck\n!www.ck\n公司.cn\n"
        "// ===BEGIN PRIVATE DOMAINS===\ngithub.io\n"
    )
    rules = parse_suffix_rules(text)
    assert rules.plain == {"com": False, "xn--55qx5d.cn": False, "github.io": True}
    assert (rules.wildcards, rules.exceptions) == ({"ck": False}, {"www.ck": False})

"""The language: what a filter may say, what it means, and what a wrong one is told."""

from datetime import timedelta

import pytest

from shared.filters.errors import FilterError
from shared.filters.filter import parse_filter
from tests.shared.filters.sample_model import ENVIRONMENT, MODEL, NOW, Subject

WEEK_OLD = Subject(first_seen=NOW - timedelta(days=7))


def matches(text: str, subject: Subject) -> bool:
    return parse_filter(text, MODEL).matches(subject, ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ('observable.type == "url"', Subject(type="url")),
        ("observable.type == 'url'", Subject(type="url")),
        ('observable.type in ["url", "domain-name"] && change.score >= 80', Subject(score=80)),
        ('observable.type in ["url",]', Subject()),
        ("observable.own || change.score > 10", Subject(score=11)),
        ("!observable.own", Subject()),
        ("!!observable.own", Subject(own=True)),
        ("change.score == 0x10", Subject(score=16)),
        ("change.score > -1", Subject()),
        ("change.weight >= 0.5", Subject(weight=0.5)),
        ("change.weight < 1e3", Subject(weight=0.5)),
        ("change.weight == 50", Subject(weight=50.0)),
        ('"apt28" in observable.tags', Subject(tags=("apt28",))),
        ("443 in observable.ports", Subject(ports=(443,))),
        ('observable.tags.exists(tag, tag.startsWith("apt"))', Subject(tags=("x", "apt28"))),
        ('observable.tags.all(tag, tag.startsWith("apt"))', Subject(tags=())),
        ("size(observable.tags) == 2", Subject(tags=("a", "b"))),
        ("observable.value.size() == 3", Subject(value="☃☃☃")),
        ('observable.value.startsWith("www.")', Subject()),
        ('observable.value.endsWith(".com")', Subject()),
        ('observable.value.contains("example")', Subject()),
        ('observable.value.matches("^w+\\\\.ex")', Subject()),
        ('observable.value.matches(r"^w+\\.ex")', Subject()),
        ("has(observable.malware)", Subject(malware="Emotet")),
        ("has(observable.type)", Subject()),
        ('observable.first_seen <= now - duration("7d")', WEEK_OLD),
        ('now - observable.first_seen == duration("168h")', WEEK_OLD),
        ('observable.first_seen < timestamp("2026-11-30T12:00:00+02:00")', WEEK_OLD),
        ('observable.value in watchlist("ours")', Subject(value="192.0.2.7")),
        ("change.score > 1 // a remark\n && true", Subject(score=2)),
        ('observable.value == "\\u2603\\x41\\n"', Subject(value="☃A\n")),
    ],
)
def test_a_filter_matches_what_it_says(text: str, subject: Subject) -> None:
    assert matches(text, subject)
    assert not matches(f"!({text})", subject)


@pytest.mark.parametrize(
    "text",
    [
        "change.score_before > 50",
        "!(change.score_before > 50)",
        "change.score_before == change.score",
        "change.score_before != change.score",
        "observable.listed",
        "!observable.listed",
        'observable.malware in ["Emotet"]',
        '!(observable.malware in ["Emotet"])',
        'observable.malware.startsWith("E")',
        '!observable.malware.contains("E")',
        "size(observable.malware) >= 0",
        "observable.first_seen <= observable.last_seen",
        '!observable.malware.under("example.com")',
        '!(observable.malware in watchlist("ours"))',
    ],
)
def test_a_comparison_with_an_absent_field_is_neither_true_nor_false(text: str) -> None:
    assert not matches(text, Subject())


def test_what_decides_without_the_absent_field_decides() -> None:
    assert matches("change.score_before > 50 || change.score > 10", Subject(score=11))
    assert matches("!(change.score_before > 50 && change.score > 10)", Subject(score=9))
    assert matches("!has(change.score_before) || change.score_before < 5", Subject())


@pytest.mark.parametrize(
    ("value", "is_within"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("192.0.2.128/25", True),
        ("192.0.2.0/24", True),
        ("192.0.0.0/16", False),
        ("192.0.2.1/x", False),
        ("192.0.2", False),
        ("2001:db8::1", False),
        ("www.example.com", False),
        ("", False),
    ],
)
def test_an_address_or_network_is_in_a_network(value: str, is_within: bool) -> None:
    text = 'cidr("192.0.2.0/24").containsIP(observable.value)'
    assert matches(text, Subject(value=value)) is is_within
    assert matches(f"!{text}", Subject(value=value)) is not is_within


def test_networks_of_ipv6() -> None:
    text = 'cidr("2001:db8::/32").containsIP(observable.value)'
    assert matches(text, Subject(value="2001:db8:ffff::1"))
    assert not matches(text, Subject(value="2001:db9::1"))
    assert not matches(text, Subject(value="32.1.13.184"))


@pytest.mark.parametrize(
    ("value", "is_under"),
    [
        ("example.com", True),
        ("EXAMPLE.com.", True),
        ("a.b.example.com", True),
        ("notexample.com", False),
        ("example.com.evil.net", False),
        ("https://www.example.com/path?x=evil.net", True),
        ("https://example.com:8443", True),
        ("https://user:pass@www.example.com#x", True),
        ("https://evil.net/?u=http://example.com/", False),
        ("https://example.com@evil.net/", False),
        ("kim@example.com", True),
        ("https://[2001:db8::1]:443/", False),
        ("", False),
    ],
)
def test_names_urls_and_addresses_are_under_a_domain(value: str, is_under: bool) -> None:
    assert matches('observable.value.under("Example.COM.")', Subject(value=value)) is is_under


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "ends where"),
        ("change.score >", 14, "ends where"),
        ("change.score = 3", 13, "Write =="),
        ("change.score >= 80 & true", 19, "Write &&"),
        ("change.score >= 80 and true", 19, "Write && for and"),
        ("not observable.own", 0, "Write ! for not"),
        ("change.scor >= 80", 0, "Did you mean change.score?"),
        ("score >= 80", 0, "Did you mean change.score?"),
        ('observable.value.startWith("x")', 17, "Did you mean text.startsWith(text)?"),
        ('observable.value.lower() == "x"', 17, "no function lower"),
        ('change.score >= "80"', 13, "without quotes"),
        ("observable.type == url", 19, "no field url"),
        ("observable.type == 5", 16, "does not compare"),
        ("change.score", 0, "whole number: compare it"),
        ('"url"', 0, "condition is due"),
        ("observable.tags == 3", 16, "A list does not compare"),
        ('observable.type in "url"', 19, "a list is due"),
        ("observable.type in [1]", 20, "where a text is due"),
        ("1 in observable.tags", 2, "holds no whole number"),
        ("observable.own < true", 15, "no order"),
        ("1 < change.score < 3", 17, "chain"),
        ("has(observable.tags)", 0, "always there"),
        ("has(5)", 0, "has needs a field"),
        ("observable.malware == null", 22, "has(field)"),
        ("observable.first_seen < '2026-11-30'", 22, "timestamp("),
        ('observable.first_seen < timestamp("2026-11-30")', 34, "timestamp("),
        ('observable.first_seen - duration("1h") < now', 22, "other side"),
        ('now - duration("1y") < observable.first_seen', 15, "time span"),
        ('now - duration("99999999d") < observable.first_seen', 15, "hundred years"),
        ("change.score + 1 > 3", 13, "do not calculate"),
        ("-change.score > 3", 0, "Only a number"),
        ('cidr("192.0.2.1/24").containsIP(observable.value)', 5, "192.0.2.0/24"),
        ('cidr("x").containsIP(observable.value)', 5, "cidr("),
        ('observable.value.under("not a domain")', 23, "under("),
        ('observable.value.matches("(")', 25, "pattern cannot be used"),
        (r'observable.value.matches("\d")', 26, r"Write \\d"),
        ("observable.value.matches(observable.type)", 17, "text in quotes"),
        ("observable.tags.exists(tag)", 16, "exists(x, condition)"),
        ("observable.type.exists(tag, true)", 16, "list before the dot"),
        ('observable.value == "a', 20, "does not end"),
        ("observable.ports[0] == 53", 16, "no indexes"),
        ("change.score > 99999999999999999999", 15, "too large"),
        ("change.score > 7d", 16, "duration("),
        ("change.score ? true : false", 13, "&& and ||"),
        ('observable.value == "\\u0000"', 20, "NUL"),
        ('observable.value == "\\ud800"', 20, "surrogate"),
        ("(change.score > 1", 17, ") is due"),
        ("change.score > 1)", 16, "cannot go on"),
        ("size(change.score) > 1", 0, "size needs"),
        ('watchlist("ours")', 0, "watchlist"),
    ],
)
def test_a_wrong_filter_is_refused_at_its_place(text: str, position: int, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, MODEL)
    assert words in caught.value.reason, caught.value.message
    assert caught.value.position == position, caught.value.message


def test_the_message_shows_the_place() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter('observable.type == "url" &&\n  change.scor > 3', MODEL)
    assert caught.value.message == (
        "There is no field change.scor. Did you mean change.score?\n"
        "    change.scor > 3\n"
        "    ^^^^^^^^^^^"
    )


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000,
        "!" * 4000 + "true",
        "-" * 4000 + "1 > 0",
        "[" * 4000,
        "true" + " && true" * 500,
        "true" + " || true" * 500,
        "change.score > 1" + " + 1" * 900,
        "change.score > 1" + " - now" * 500,
        "change.score in [" + "1," * 1900 + "1]",
        "observable.value" + ".size()" * 580,
        "observable.tags.exists(x, " * 150 + "true",
        'observable.value == "' + "x" * 4100 + '"',
        "ü" * 2100,
        "a." * 2000 + "b",
        'observable.value.matches("' + "(" * 3000 + '")',
        'observable.value.matches("(((a{100}){100}){100})")',
    ],
)
def test_what_is_long_deep_or_large_is_refused(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, MODEL)
    assert len(caught.value.message) < 1000


def test_as_many_parts_as_are_allowed_still_compile() -> None:
    wide = " && ".join(["change.score > 1"] * 120)
    assert matches(wide, Subject(score=2))
    deep = "!(" * 14 + "observable.own" + ")" * 14
    assert matches(deep, Subject(own=True))
    tags = "observable.tags.exists(a, observable.tags.all(b, a == b))"
    assert matches(tags, Subject(tags=("x",)))


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"observable.tags.exists({name}, " for name in "abc") + 'a == "x"' + ")" * 3,
        "".join(f"observable.tags.all({name}, " for name in "abcdefghijklmn") + "false" + ")" * 14,
        "observable.tags.exists(a, observable.tags.exists(b, a in observable.tags))",
        " || ".join(["observable.tags.exists(a, observable.tags.exists(b, a == b))"] * 2),
        " && ".join(["observable.tags.exists(a, a in observable.tags)"] * 25),
    ],
)
def test_what_would_take_too_many_steps_is_refused(text: str) -> None:
    """Two lists within one another multiply: fourteen of them in 400 characters never end."""
    with pytest.raises(FilterError, match=r"takes more than 20,000 steps"):
        parse_filter(text, MODEL)


def test_an_inner_variable_hides_an_outer_of_the_same_name() -> None:
    text = 'observable.tags.exists(x, x == "a" && observable.tags.exists(x, x == "b"))'
    assert matches(text, Subject(tags=("a", "b")))
    assert not matches(text, Subject(tags=("a",)))


def test_names_of_watchlists_are_known() -> None:
    text = 'observable.own || !(observable.value in watchlist("ours"))'
    assert parse_filter(text, MODEL).watchlists == {"ours"}

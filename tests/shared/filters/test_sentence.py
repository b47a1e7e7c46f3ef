"""Sentences: what a filter says, in words that a person reads once."""

import pytest

from shared.filters.filter import parse_filter
from tests.shared.filters.sample_model import MODEL


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('observable.type == "url"', "the type is url"),
        (
            'observable.type in ["url", "domain-name"] && change.score >= 80',
            "the type is url or domain-name and the score is at least 80",
        ),
        ("!(change.score >= 80)", "the score is below 80"),
        (
            "!(observable.own || change.score < 5)",
            "being our own is false and the score is at least 5",
        ),
        (
            'change.score > 1 && (observable.own || "a" in observable.tags)',
            "the score is above 1 and (being our own is true or the tags include a)",
        ),
        ("change.score > 1 && change.score < 9 && true", None),
        ("has(change.score_before)", "the earlier score is there"),
        ("!has(change.score_before)", "the earlier score is absent"),
        (
            'observable.first_seen > now - duration("7d")',
            "the first time is after 7 days ago",
        ),
        (
            'now - observable.first_seen < duration("90m")',
            "the time from the first time to now is below 90 minutes",
        ),
        (
            'observable.first_seen >= timestamp("2026-11-30T08:00:00Z")',
            "the first time is not before 2026-11-30 08:00:00 UTC",
        ),
        (
            'cidr("192.0.2.0/24").containsIP(observable.value)',
            "the value is in the network 192.0.2.0/24",
        ),
        ('!observable.value.under("example.com")', "the value is not example.com or below it"),
        ('observable.value in watchlist("ours")', 'the value is on the watchlist "ours"'),
        (
            'observable.value.matches("^a")',
            'the value matches the pattern "^a"',
        ),
        (
            'observable.tags.exists(tag, tag.startsWith("apt"))',
            'of the tags, some tag is such that tag begins with "apt"',
        ),
        (
            '!observable.tags.exists(tag, tag.startsWith("apt"))',
            'of the tags, every tag is such that tag does not begin with "apt"',
        ),
        ("size(observable.tags) > 2", "the number of the tags is above 2"),
        ("size(observable.value) > 2", "the length of the value is above 2"),
        ('observable.type == ""', "the type is ''"),
    ],
)
def test_a_filter_reads_as_a_sentence(text: str, sentence: str | None) -> None:
    expected = sentence or "the score is above 1, and the score is below 9, and anything happens"
    assert parse_filter(text, MODEL).sentence == expected

"""Sigma rules, as pySigma reads them and its backends turn them into queries."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from sigma.backends.elasticsearch import ESQLBackend, LuceneBackend
from sigma.backends.kusto import KustoBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import SigmaCasedString, SigmaCIDRExpression, SigmaString, SpecialChars

from services.observables.list_formats.base import ListVersion, Row
from services.observables.list_formats.registry import list_format_named
from tests.observables.list_formats.contract import (
    LISTS,
    MOMENT,
    VERSION,
    ListFormatContract,
    write,
)

PREFIXES = ("MD5=", "SHA1=", "SHA256=")
BACKENDS = (SplunkBackend, KustoBackend, LuceneBackend, ESQLBackend)
ROWS: list[Row] = [
    (kind, value, 80, number, MOMENT, UUID(int=number))
    for number, (kind, value) in enumerate(
        (
            ("ipv4-addr", "198.51.100.7"),
            ("ipv4-addr", "198.51.100.0/24"),
            ("domain-name", "bad.example.com"),
            ("url", 'https://bad.example/A*b?c="\\x\\*\u2028:ä'),
            ("file-md5", "a" * 32),
            ("file-sha256", "b" * 64),
            ("mutex", "none of these logs has it"),
        ),
        1,
    )
]


def version_with(options: Mapping[str, str]) -> ListVersion:
    return ListVersion(VERSION.list_id, VERSION.name, VERSION.number, MOMENT, options, "green")


def items_of(detection: SigmaDetection) -> Iterator[SigmaDetectionItem]:
    for item in detection.detection_items:
        if isinstance(item, SigmaDetection):
            yield from items_of(item)
        else:
            yield item


def text_of(value: Any) -> str:
    """What a value matches as a whole, or an assertion that it matches more."""
    if isinstance(value, SigmaCIDRExpression):
        return str(value.cidr)
    assert isinstance(value, SigmaString | SigmaCasedString)
    parts = list(value.s)
    if SpecialChars.WILDCARD_MULTI in (parts[0], parts[-1]):
        parts = parts[1:-1]
        assert str(parts[0]).startswith(PREFIXES)
    assert all(isinstance(part, str) for part in parts), parts
    text = "".join(map(str, parts))
    return text.partition("=")[2] if text.startswith(PREFIXES) else text


def values_of(text: str) -> list[str]:
    rules = SigmaCollection.from_yaml(text)
    assert not rules.errors
    assert len({rule.id for rule in rules}) == len(rules)
    return [
        text_of(value)
        for rule in rules
        if isinstance(rule, SigmaRule)
        for detection in rule.detection.detections.values()
        for item in items_of(detection)
        for value in item.value
    ]


class TestSigma(ListFormatContract):
    format = list_format_named("sigma")

    def read(self, text: str) -> set[str]:
        return set(values_of(text))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_each_entry_is_there_once(self, rows: list[Row]) -> None:
        text, account = write(self.format, rows, version_with({"urls": "cased"}))
        entries = sorted(row[1] for row in rows if row[0] in self.format.types)
        assert sorted(values_of(text)) == entries
        assert account.entries == len(entries)


def test_urls_are_there_if_the_list_asks_for_them() -> None:
    sigma = list_format_named("sigma")
    url = ROWS[3][1]
    text, account = write(sigma, ROWS)
    assert url not in values_of(text)
    assert account.left_out == {"URL without the option urls": 1, "type mutex": 1}
    for option in ("cased", "any-case"):
        sigma.check_options({"urls": option})
        text, account = write(sigma, ROWS, version_with({"urls": option}))
        assert url in values_of(text)
        assert account.entries == 6
        assert ("compared without case" in text) == (option == "any-case")


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda each: each.__name__)
def test_backends_turn_the_rules_into_queries(backend: Any) -> None:
    text, _ = write(list_format_named("sigma"), ROWS, version_with({"urls": "any-case"}))
    queries = backend().convert(SigmaCollection.from_yaml(text))
    assert len(queries) == 4
    addresses, names, urls, digests = queries
    assert "198.51.100.7" in addresses
    assert "198.51.100.0" in addresses
    assert "bad.example.com" in names
    assert "bad.example" in urls
    assert "a" * 32 in digests
    assert "b" * 64 in digests


def test_a_rule_keeps_its_id_and_says_the_marking() -> None:
    small, _ = write(list_format_named("sigma"), ROWS[:1], version_with({}))
    large, _ = write(list_format_named("sigma"), ROWS[:2], version_with({}))
    [rule] = SigmaCollection.from_yaml(small)
    [renewed] = SigmaCollection.from_yaml(large)
    assert rule.id == renewed.id
    assert [str(tag) for tag in rule.tags] == ["tlp.green"]
    assert "bad-hosts" in rule.title

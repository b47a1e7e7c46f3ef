"""Queries search for what the list names, and for nothing else, whatever a value contains."""

import re
from collections import Counter
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from services.observables.list_formats.base import Row
from services.observables.list_formats.registry import list_format_named
from tests.observables.list_formats.contract import LISTS, MOMENT, ListFormatContract, write

STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
"""A string of these languages: a quote and a backslash are escaped by a backslash."""
LANGUAGES = ("spl", "kql", "esql", "lucene")


def strings_of(text: str) -> list[str]:
    """The strings of a query, unescaped."""
    return [re.sub(r"\\(.)", r"\1", match) for match in STRING.findall(text)]


def without_strings(text: str) -> str:
    """What stands around the strings of a query, without its comments."""
    lines = [line for line in text.split("\n") if not line.startswith("//")]
    return STRING.sub("S", "\n".join(lines))


class QueryContract(ListFormatContract):
    """Of all languages.

    Attributes:
        skeleton: what a query is when each of its strings is an `S`.
    """

    skeleton: ClassVar[str]

    def read(self, text: str) -> set[str]:
        assert re.fullmatch(self.skeleton, without_strings(text).strip()), text
        lines = [line for line in text.split("\n") if not line.startswith("//")]
        return set(strings_of("\n".join(lines)))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_each_entry_is_there_once(self, rows: list[Row]) -> None:
        text, account = write(self.format, rows)
        entries = Counter(row[1] for row in rows if row[0] in self.format.types)
        lines = [line for line in text.split("\n") if not line.startswith("//")]
        assert Counter(strings_of("\n".join(lines))) == entries
        assert account.entries == entries.total()


class TestSplunk(QueryContract):
    format = list_format_named("spl")
    skeleton = (
        r"\| where (?:false\(\)|(?:\w+ IN \(S(?:, S)*\)|cidrmatch\(S, \w+\))"
        r"(?:\s+OR (?:\w+ IN \(S(?:, S)*\)|cidrmatch\(S, \w+\)))*)"
    )


class TestKusto(QueryContract):
    format = list_format_named("kql")
    skeleton = (
        r"\| where (?:false|(?:\w+ in \(S(?:, S)*\)|ipv[46]_is_in_range\(\w+, S\))"
        r"(?:\s+or (?:\w+ in \(S(?:, S)*\)|ipv[46]_is_in_range\(\w+, S\)))*)"
    )


class TestEsql(QueryContract):
    format = list_format_named("esql")
    skeleton = (
        r"FROM logs-\*\n\| WHERE (?:false|(?:[\w.]+ IN \(S(?:, S)*\)|CIDR_MATCH\([\w.]+, S\))"
        r"(?:\s+OR (?:[\w.]+ IN \(S(?:, S)*\)|CIDR_MATCH\([\w.]+, S\)))*)"
    )


class TestLucene(QueryContract):
    format = list_format_named("lucene")
    skeleton = (
        r"(?:NOT \*:\*|(?:[\w.]+:\(S(?: OR S)*\)|[\w.]+:S)"
        r"(?:\s+OR (?:[\w.]+:\(S(?: OR S)*\)|[\w.]+:S))*)"
    )


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_value_cannot_leave_its_string(name: str) -> None:
    url = 'https://bad.example/" or true | delete \\'
    rows = [("url", url, 80, 1, MOMENT, UUID(int=1))]
    text, _ = write(list_format_named(name), rows)
    lines = [line for line in text.split("\n") if not line.startswith("//")]
    assert strings_of("\n".join(lines)) == [url]
    assert "delete" not in without_strings(text)


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_list_without_entries_matches_nothing(name: str) -> None:
    text, _ = write(list_format_named(name), [])
    assert re.search(r"false|NOT \*:\*", text)

"""What was found for many values: told apart, counted by type, written as files."""

import csv
import io
import json

import pytest

from services.gateway.console.search_results import (
    by_state,
    count_types,
    export_results,
    results_of_lookup,
    results_of_report,
)

ANSWERS = [
    {
        "value": "hxxp://new[.]example",
        "observable": None,
        "type": "url",
        "canonical": "http://new.example/",
    },
    {"value": "???", "observable": None, "problem": "It looks like nothing."},
    {
        "value": "evil[.]com",
        "observable": {
            "id": "domain-name--1",
            "type": "domain-name",
            "value": "evil.com",
            "score": 70,
            "verdict": "suspicious",
            "assertions": [1, 2],
            "first_seen": "2026-01-01T00:00:00Z",
            "last_seen": "2026-01-02T00:00:00Z",
        },
    },
    {"value": "evil.com", "observable": {"type": "domain-name", "value": "evil.com", "score": 70}},
    {"value": "=cmd()", "observable": None, "problem": "=It looks like nothing."},
]


def test_what_is_known_comes_first_and_once() -> None:
    results = results_of_lookup(ANSWERS)
    assert [result.value for result in results][:2] == ["evil.com", "http://new.example/"]
    assert results[0].written == "evil[.]com"
    tables = by_state(results)
    assert {name: len(rows) for name, rows in tables.items()} == {
        "known": 1,
        "unknown": 1,
        "unrecognised": 2,
    }
    assert count_types(results) == [("domain-name", 1), ("url", 1)]


def test_a_spreadsheet_has_every_value_and_no_formula() -> None:
    rows = list(
        csv.DictReader(io.StringIO(export_results(results_of_lookup(ANSWERS), "csv").decode()))
    )
    assert len(rows) == 4
    assert rows[0]["sources"] == "2"
    assert rows[0]["verdict"] == "suspicious"
    assert rows[1]["type"] == "url"
    assert rows[3]["value"] == "'=cmd()"
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_a_plain_list_has_values_alone() -> None:
    content = export_results(results_of_lookup(ANSWERS), "txt").decode()
    assert content.splitlines() == ["evil.com", "http://new.example/"]


@pytest.mark.parametrize("lists", [[], [["popular", "ranking", "exact", "new.example"]]])
def test_a_report_keeps_how_often_and_how_it_was_written(lists: list[list[str]]) -> None:
    item = {
        "value": "new.example",
        "type": "domain-name",
        "count": 3,
        "positions": [{"start": 0, "end": 1, "written": "new[.]example"}],
        "observable": None,
        "allow_lists": lists,
    }
    (row,) = json.loads(export_results(results_of_report([item]), "json"))
    assert row["mentions"] == 3
    assert row["written"] == "new[.]example"
    assert row["allow_lists"] == ("popular" if lists else "")

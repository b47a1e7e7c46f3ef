"""What a search for many values has found, in the order in which one reads it. No I/O."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

SearchState = Literal["known", "unknown", "unrecognised"]
EXPORT_TYPES: Final[dict[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}
"""The forms of an export, and their media types."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets take a cell that begins with one of these for a formula or a command."""


class SearchResult(NamedTuple):
    """One value of a list or a report.

    Attributes:
        value: its canonical form; as it was written when it is no value.
        written: as it was written.
        type: of the observable that it is; empty when it is no value.
        state: whether anything is stored about it.
        observable: what is stored about it, as the API has it.
        problem: why it is no value.
        around: where it lies and what it inherits from there, as the API has it.
        mentions: how often a report names it; 1 in a list.
        allow_lists: those that have it, with category, kind of match and entry.
    """

    value: str
    written: str
    type: str
    state: SearchState
    observable: Any = None
    problem: str = ""
    around: Any = None
    mentions: int = 1
    allow_lists: Any = ()

    @property
    def score(self) -> int:
        """The score of what is known; 0 for everything else."""
        return int(self.observable["score"]) if self.observable else 0


def results_of_lookup(items: Iterable[Any]) -> list[SearchResult]:
    """Read the answers of a lookup; what has the highest score comes first."""
    return _in_order(_result_of_answer(item) for item in items)


def _result_of_answer(item: Any) -> SearchResult:
    observable = item.get("observable")
    written = item["value"]
    if observable:
        return SearchResult(
            observable["value"], written, observable["type"], "known", observable, around=item
        )
    if item.get("problem"):
        return SearchResult(written, written, "", "unrecognised", problem=item["problem"])
    value = item.get("canonical") or written
    return SearchResult(value, written, item.get("type", ""), "unknown", around=item)


def results_of_report(items: Iterable[Any]) -> list[SearchResult]:
    """Read the observables of an extraction; what has the highest score comes first."""
    return _in_order(
        SearchResult(
            item["value"],
            _written(item),
            item["type"],
            "known" if item["observable"] else "unknown",
            item["observable"],
            mentions=item["count"],
            allow_lists=item["allow_lists"],
        )
        for item in items
    )


def _written(item: Any) -> str:
    for position in item["positions"][:1]:
        return str(position.get("written") or item["value"])
    return str(item["value"])


def _in_order(results: Iterable[SearchResult]) -> list[SearchResult]:
    """Known values by score, all others as they were written; each once."""
    distinct: dict[tuple[str, str], SearchResult] = {}
    for result in results:
        distinct.setdefault((result.type, result.value), result)
    return sorted(distinct.values(), key=lambda result: -result.score)


def by_state(results: Iterable[SearchResult]) -> dict[SearchState, list[SearchResult]]:
    """Tell apart what is known, what is not, and what is no value."""
    tables: dict[SearchState, list[SearchResult]] = {"known": [], "unknown": [], "unrecognised": []}
    for result in results:
        tables[result.state].append(result)
    return tables


def count_types(results: Iterable[SearchResult]) -> list[tuple[str, int]]:
    """How many values there are of each type, the most first."""
    return Counter(result.type for result in results if result.type).most_common()


def export_results(results: Iterable[SearchResult], form: str) -> bytes:
    """Write results as a file.

    Args:
        results: all of them.
        form: `csv`, `json`, or `txt`: the known and unknown values alone, one a line.
    """
    if form == "txt":
        lines = [result.value for result in results if result.state != "unrecognised"]
        return "".join(f"{line}\n" for line in lines if line.isprintable()).encode()
    rows = [_row(result) for result in results]
    if form == "json":
        return json.dumps(rows, ensure_ascii=False, indent=2).encode()
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(_row(_EMPTY)), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _as_cell(content) for name, content in row.items()})
    return sink.getvalue().encode()


_EMPTY: Final = SearchResult("", "", "", "unrecognised")


def _row(result: SearchResult) -> dict[str, Any]:
    observable = result.observable or {}
    assertions = observable.get("assertions")
    return {
        "value": result.value,
        "written": result.written,
        "type": result.type,
        "state": result.state,
        "verdict": observable.get("verdict", ""),
        "score": observable.get("score"),
        "sources": len(assertions) if assertions is not None else None,
        "first_seen": observable.get("first_seen", ""),
        "last_seen": observable.get("last_seen", ""),
        "mentions": result.mentions,
        "allow_lists": ", ".join(str(entry[0]) for entry in result.allow_lists),
        "id": observable.get("id", ""),
        "problem": result.problem,
    }


def _as_cell(content: Any) -> Any:
    """A cell that no spreadsheet runs: what begins like a formula gets an apostrophe."""
    text = "" if content is None else content
    if isinstance(text, str) and text.startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text

"""What a person has typed or pasted into the search box. No I/O."""

import re
from typing import Final, Literal, NamedTuple

from shared.stix import NotAnObservable, detect

MAX_VALUES: Final = 10_000
"""What one lookup takes."""
_TECHNIQUE: Final = re.compile(r"[Tt][0-9]{4}(?:\.[0-9]{3})?")
_SEPARATORS: Final = re.compile(r"[\s,;|]+")
_QUOTES: Final = "\"'`<>\u201c\u201d\u2018\u2019\u201e"
_LIST_SHARE: Final = 0.7
"""Of a text's lines, those without blanks: from this share on it is a list and not a report."""
_MAX_NAME: Final = 200

QueryKind = Literal["empty", "technique", "value", "name", "values", "report"]


class SearchQuery(NamedTuple):
    """A text and what it is.

    Attributes:
        kind: `name` may also be a value that has blanks.
        values: without repetitions, in their order; one for `value` and `name`.
        left_out: how many values were beyond `MAX_VALUES`.
    """

    kind: QueryKind
    values: list[str]
    left_out: int = 0


def read_query(text: str) -> SearchQuery:
    """Tell a value from a list of values and from the text of a report."""
    stripped = text.strip()
    if not stripped:
        return SearchQuery("empty", [])
    lines = [line.strip() for line in stripped.splitlines() if line.strip()]
    if len(lines) == 1:
        return _read_line(stripped)
    plain = sum(1 for line in lines if not _SEPARATORS.search(line.strip(",;| \t")))
    if plain < len(lines) * _LIST_SHARE:
        return SearchQuery("report", [])
    return _read_values(lines)


def _read_line(line: str) -> SearchQuery:
    value = line.strip(_QUOTES) or line
    if _TECHNIQUE.fullmatch(value):
        return SearchQuery("technique", [value.upper()])
    pieces = [piece for piece in _SEPARATORS.split(value) if piece]
    if len(pieces) == 1:
        return SearchQuery("value", pieces)
    are_values = all("." in piece or ":" in piece or len(piece) >= 32 for piece in pieces)
    if are_values:
        return _read_values(pieces)
    return SearchQuery("name" if len(value) <= _MAX_NAME else "report", [value])


def _read_values(lines: list[str]) -> SearchQuery:
    values = dict.fromkeys(value for line in lines for value in _values_of(line))
    values.pop("", None)
    distinct = list(values)
    return SearchQuery("values", distinct[:MAX_VALUES], max(len(distinct) - MAX_VALUES, 0))


def _values_of(line: str) -> list[str]:
    """The values of a line: the line, or those of its words that are values beside other words."""
    value = _unquoted(line)
    if not _SEPARATORS.search(value) or _is_value(value):
        return [value]
    words = [_unquoted(word) for word in _SEPARATORS.split(value)]
    return [word for word in words if _is_value(word)] or [value]


def _unquoted(text: str) -> str:
    return text.strip(",;| \t").strip(_QUOTES)


def _is_value(text: str) -> bool:
    try:
        detect(text)
    except NotAnObservable:
        return False
    return True

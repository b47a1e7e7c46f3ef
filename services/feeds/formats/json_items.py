"""Which properties of the items of a JSON document hold the observables."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.column_profiles import column_profile
from services.feeds.formats.table_columns import (
    ColumnGuess,
    described_columns,
    guess_columns,
    is_of_context,
    marking_columns,
)
from services.feeds.formats.table_headers import read_header
from services.feeds.formats.table_layout import are_names
from services.feeds.formats.type_words import SHAPELESS, TEXTS, Declared
from shared.stix import ObservableType

SAMPLED_ITEMS: Final = 50
_MAX_SHOWN: Final = 12
"""Properties within objects that a note shows."""

_MAX_DEPTH: Final = 3
_PLACES: Final = re.compile(r"columns\.value=\[([0-9,]+)\]")
_WORDS_OF_TABLES: Final = re.compile(
    r"'[^']*'|`columns`|columns\.value=|each row's|\brows?\b|\b[Cc]olumns?\b"
)
_WORDS_OF_JSON: Final = {
    "`columns`": "`value`",
    "columns.value=": "value=",
    "each row's": "each item's",
    "row": "item",
    "rows": "items",
    "Columns": "Properties",
    "columns": "properties",
    "Column": "Property",
    "column": "property",
}


class ValueGuess(NamedTuple):
    """The properties that hold the observables.

    Attributes:
        names: the JMESPath expressions that give them.
        kinds: for each, the types that its values have to be of, if they are declared.
        notes: what was decided.
        types: the types of most of the values.
        type_name: the expression for the property that says of which type they are, if there is
            one.
        markings: the expressions for the levels of TLP and PAP.
        fields: for each field that describes the values the expression that gives it.
    """

    names: list[str]
    kinds: list[Declared | None]
    notes: list[str]
    types: frozenset[ObservableType]
    type_name: str | None = None
    fields: Mapping[str, str] = {}
    markings: Sequence[str] = ()


def guess_values(items: Sequence[Any]) -> ValueGuess:
    """The properties of items that hold the observables, judged as the columns of a table are.

    Properties of objects within the items count if those of the items themselves hold none.

    Raises:
        AmbiguousDocument: two properties hold observables of one type, and nothing tells them
            apart; or only properties that describe others hold some.
        MalformedDocument: no property holds observables.
    """
    sample = [item for item in items[:SAMPLED_ITEMS] if isinstance(item, dict)]
    try:
        guess = _guess(sample, step)
        return guess._replace(notes=[*guess.notes, *_nested_notes(sample, guess.names)])
    except MalformedDocument as problem:
        # Two properties that nothing tells apart stay a doubt, whatever stands within others.
        if not any(isinstance(value, dict) for item in sample for value in item.values()):
            raise
        if isinstance(problem, AmbiguousDocument) and not is_of_context(problem):
            raise _with_nested(problem, sample) from None
        first_problem = problem
    try:
        return _guess([flattened(item) for item in sample], str)
    except AmbiguousDocument:
        raise
    except MalformedDocument:
        raise first_problem from None


def _guess(sample: Sequence[dict[str, Any]], expression: Callable[[str], str]) -> ValueGuess:
    """As `guess_values`.

    Args:
        sample: the first items.
        expression: gives the JMESPath expression for the name of a property.
    """
    names = list(dict.fromkeys(name for item in sample for name in item))
    table = [[*map(text_of, map(item.get, names))] for item in sample]
    return _table_guess(table, names, [*map(expression, names)])


def nested_values(sample: Sequence[dict[str, Any]]) -> dict[str, ObservableType]:
    """The properties of objects within items that hold observables, with the types of these."""
    rows = [flattened(item) for item in sample]
    top = {step(name) for item in sample for name in item}
    names = list(dict.fromkeys(name for row in rows for name in row if name not in top))
    values: dict[str, ObservableType] = {}
    for at, name in enumerate(names):
        table = [[""] * at + [text_of(row.get(name))] for row in rows]
        profile = column_profile(table, names, at)
        if profile is not None and profile.hits and not profile.is_described:
            kind = profile.header.declared
            is_binding = isinstance(kind, ObservableType) and kind in SHAPELESS
            values[name] = kind if is_binding else profile.type  # type: ignore[assignment]
    return values


def _nested_notes(sample: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """A note on the observables in objects within items, which are not read."""
    nested = nested_values(sample)
    if not nested:
        return []
    listed = list(nested)[:_MAX_SHOWN]
    option = shlex.quote(f"value={msgspec.json.encode([*names, *listed]).decode()}")
    return [f"left aside within objects: {_shown(nested)}; `--option {option}` reads them as well"]


def _shown(nested: Mapping[str, ObservableType]) -> str:
    shown = ", ".join(f"{name} ({kind})" for name, kind in list(nested.items())[:_MAX_SHOWN])
    rest = len(nested) - _MAX_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _with_nested(doubt: AmbiguousDocument, sample: Sequence[dict[str, Any]]) -> AmbiguousDocument:
    """A doubt about properties that tells of those within objects, with a choice of all."""
    nested = nested_values(sample)
    if not nested:
        return doubt
    lists = [choice["options"]["value"] for choice in doubt.alternatives]
    places = dict.fromkeys(
        name for entry in lists for name in (entry if isinstance(entry, list) else [entry])
    )
    choice_of_all = {"value": [*places, *list(nested)[:_MAX_SHOWN]]}
    return AmbiguousDocument(
        f"{doubt.message.removeprefix('$: ')} Objects within the items hold observables as well: "
        f"{_shown(nested)}.",
        "$",
        [*doubt.alternatives, {"format": "json", "options": choice_of_all}],
    )


def guess_row_values(
    rows: Sequence[Sequence[Any]], columns: Sequence[str]
) -> tuple[ValueGuess, bool]:
    """As `guess_values`, of items that are rows; and whether the first one names the columns.

    Args:
        rows: the first items.
        columns: the names of their columns, if something else names them.
    """
    table = [[*map(text_of, row)] for row in rows]
    has_header = not columns and len(rows) > 1 and are_names(table[0])
    names = table[0] if has_header else list(columns)
    width = max(map(len, table))
    paths = [f"[{at}]" for at in range(width)]
    return _table_guess(table[has_header:], names, paths), has_header


def _table_guess(table: list[list[str]], names: list[str], paths: Sequence[str]) -> ValueGuess:
    try:
        guess = guess_columns(table, names, "$")
    except AmbiguousDocument as doubt:
        raise _doubt(doubt, paths) from None
    except MalformedDocument:
        shown = ", ".join(sorted(name[:40] for name in names or paths)[:30])
        raise MalformedDocument(f"no property holds observables; there are {shown}", "$") from None
    return _value_guess(guess, paths)


def _value_guess(guess: ColumnGuess, paths: Sequence[str]) -> ValueGuess:
    at = guess.columns["value"]
    places = at if isinstance(at, list) else [at]
    type_at = guess.columns.get("type")
    described = {
        field: paths[place]
        for field, place in guess.columns.items()
        if field not in _NO_FIELDS and isinstance(place, int)
    }
    return ValueGuess(
        [paths[place] for place in places],
        [guess.kinds.get(place) for place in places],
        [_in_words_of_json(_with_paths(note, paths)) for note in guess.notes],
        guess.types,
        None if type_at is None else paths[type_at],
        described,
        [paths[place] for place in guess.columns.get("marking", ())],
    )


_NO_FIELDS: Final = frozenset({"value", "type", "prefix", "end"})


def described_fields(items: Sequence[Any], values: Sequence[str]) -> dict[str, str]:
    """For each field that describes the values the expression that gives it, by its usual names.

    Args:
        items: the first items.
        values: the expressions that give the values.
    """
    names = list(dict.fromkeys(name for item in items if isinstance(item, dict) for name in item))
    paths = [*map(step, names)]
    columns = described_columns([], names, {at for at, path in enumerate(paths) if path in values})
    return {field: paths[at] for field, at in columns.items() if field not in _NO_FIELDS}


def marking_paths(items: Sequence[Any]) -> list[str]:
    """The expressions for the levels of TLP and PAP of items, by the names of properties."""
    names = list(dict.fromkeys(name for item in items if isinstance(item, dict) for name in item))
    return [step(names[at]) for at in marking_columns(names)]


def _with_paths(note: str, paths: Sequence[str]) -> str:
    """A note whose option names expressions instead of columns."""

    def option(match: re.Match[str]) -> str:
        places = [paths[int(place)] for place in match[1].split(",")]
        return shlex.quote(f"value={msgspec.json.encode(places).decode()}")

    return _PLACES.sub(option, note)


def _doubt(doubt: AmbiguousDocument, paths: Sequence[str]) -> AmbiguousDocument:
    """A doubt about columns in the words and options of JSON."""
    alternatives = []
    for choice in doubt.alternatives:
        options = dict(choice["options"])
        place = options.pop("columns")["value"]
        options["value"] = [paths[at] for at in place] if isinstance(place, list) else paths[place]
        alternatives.append({"format": "json", "options": options})
    message = _in_words_of_json(doubt.message.removeprefix("$: "))
    return AmbiguousDocument(message, "$", alternatives)


def _in_words_of_json(text: str) -> str:
    """A text about a table in the words of JSON; names between quotes stay."""
    return _WORDS_OF_TABLES.sub(lambda word: _WORDS_OF_JSON.get(word[0], word[0]), text)


def late_values(item: dict[str, Any], sampled: frozenset[str]) -> list[tuple[str, Declared]]:
    """Properties that the first items do not have, and whose names say that they are values.

    Args:
        item: an item.
        sampled: the properties of the first items.
    """
    values = []
    for name in item.keys() - sampled:
        header = read_header(name)
        kind = header.declared
        is_value = header.rank == 2 and not (header.is_context or header.is_excluded)
        if is_value and kind is not None and kind not in TEXTS:
            values.append((name, kind))
    return sorted(values, key=lambda value: value[0])


def step(name: str) -> str:
    """A property's name as a step of a JMESPath expression."""
    return name if name.isidentifier() and name.isascii() else msgspec.json.encode(name).decode()


def flattened(item: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """An item with the properties of the objects within it, by their paths."""
    flat: dict[str, Any] = {}
    for name, value in item.items():
        path = prefix + step(name)
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            flat |= flattened(value, f"{path}.", depth + 1)
        else:
            flat[path] = value
    return flat


def text_of(value: Any) -> str:
    """A property as a cell: of a list of texts all of them."""
    if isinstance(value, list):
        return " ".join(entry for entry in value if isinstance(entry, str))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # as the reader takes it
    return value if isinstance(value, str) else ""

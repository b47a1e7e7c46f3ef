"""Where the items of a JSON document are, and which of their properties hold the observables."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.fields import type_of
from services.feeds.formats.table_columns import guess_columns, is_value_name

_SAMPLED_ITEMS: Final = 50
_MAX_DEPTH: Final = 5
_MAX_CANDIDATES: Final = 200
_CLOSE: Final = 0.9
"""A second list that holds so many observables as a share of the best one is a doubt."""


class ItemList(NamedTuple):
    """A list that may hold a document's items.

    Attributes:
        items: its entries.
        path: the JMESPath expression that locates it.
        share: the share of its first entries that hold observables.
    """

    items: list[Any]
    path: str
    share: float


def find_items(document: Any) -> ItemList | None:
    """The items of a document for which no option locates them.

    They are the list, at most five levels deep, whose entries hold most observables; the document
    itself if it holds observables beside its lists; of a document keyed by ids the values.

    Raises:
        AmbiguousDocument: two lists hold observables, and nothing tells them apart.
    """
    if isinstance(document, list):
        return ItemList(document, "$", 1.0)
    if not isinstance(document, dict):
        return None
    candidates = []
    for items, path in _lists(document, "", 0):
        candidates.append(ItemList(items, path, _share(items)))
        if len(candidates) == _MAX_CANDIDATES:
            break
    # A list of objects comes first: an object around it may hold the address of the next page. Then
    # the object itself: a list of texts within it describes it.
    objects = [candidate for candidate in candidates if _is_of_objects(candidate)]
    if any(candidate.share for candidate in objects):
        return _best(objects)
    item = next(_single_items(document, "", 0), None)
    return item or (_best(candidates) if candidates else None)


def _single_items(value: dict[str, Any], path: str, depth: int) -> Iterator[ItemList]:
    """The objects that are items by themselves, the outermost first: one item has no list."""
    if any(is_value_name(name) and type_of(_cell(entry)) for name, entry in value.items()):
        yield ItemList([value], f"[{path or '@'}]", 1.0)
    for name, entry in value.items():
        if isinstance(entry, dict) and depth < _MAX_DEPTH:
            yield from _single_items(entry, _joined(path, _step(name)), depth + 1)


def _best(candidates: list[ItemList]) -> ItemList:
    best, *others = sorted(candidates, key=lambda candidate: -candidate.share)
    if rivals := [other for other in others if other.share >= best.share * _CLOSE > 0]:
        paths = [best.path, *(rival.path for rival in rivals)]
        raise AmbiguousDocument(
            f"The lists {', '.join(paths)} hold observables: say by the option `items` which of "
            "them are indicators.",
            "$",
            [{"format": "json", "options": {"items": path}} for path in paths],
        )
    return best


def _is_of_objects(candidate: ItemList) -> bool:
    return any(isinstance(item, dict) for item in candidate.items[:_SAMPLED_ITEMS])


def _lists(value: dict[str, Any], path: str, depth: int) -> Iterator[tuple[list[Any], str]]:
    """The lists of objects or texts within an object."""
    # Some providers key their items by an id: {"1234": [{…}], …}, or {"1234": {…}, …}.
    values = list(value.values())
    if len(values) > 1 and all(isinstance(entry, list) for entry in values):
        yield [item for items in values for item in items], _joined(path, "*[]")
        if not _are_names(value):
            return
    if len(values) > 1 and all(isinstance(entry, dict) for entry in values):
        yield values, _joined(path, "*")
    for name, entry in value.items():
        here = _joined(path, _step(name))
        if isinstance(entry, list) and entry and isinstance(entry[0], dict | str):
            yield entry, here
        elif isinstance(entry, dict) and depth < _MAX_DEPTH:
            yield from _lists(entry, here, depth + 1)


def _are_names(value: dict[str, Any]) -> bool:
    """Whether an object's keys are names of properties, and no ids."""
    return all(name.replace("_", "").replace("-", "").isalpha() for name in value)


def _step(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _share(items: Sequence[Any]) -> float:
    sample = items[:_SAMPLED_ITEMS]
    hits = sum(
        type_of(item) is not None if isinstance(item, str) else _holds_observable(item)
        for item in sample
    )
    return hits / max(len(sample), 1)


def _holds_observable(item: Any) -> bool:
    """Whether an object has a property that is an observable by itself."""
    return isinstance(item, dict) and any(
        isinstance(value, str) and type_of(value) is not None for value in item.values()
    )


class ValueGuess(NamedTuple):
    """The properties that hold the observables.

    Attributes:
        names: their names.
        notes: what was decided.
        type_name: the name of the property that says of which type they are, if there is one.
    """

    names: list[str]
    notes: list[str]
    type_name: str | None = None


def guess_values(items: Sequence[Any]) -> ValueGuess:
    """The properties of items that hold the observables, judged as the columns of a table are.

    Raises:
        AmbiguousDocument: two properties hold observables of one type, and nothing tells them
            apart.
        MalformedDocument: no property holds observables.
    """
    sample = [item for item in items[:_SAMPLED_ITEMS] if isinstance(item, dict)]
    names = list(dict.fromkeys(str(name) for item in sample for name in item))
    table = [_row(item, names) for item in sample]
    try:
        guess = guess_columns(table, names, "$")
    except AmbiguousDocument as doubt:
        places = [choice["options"]["columns"]["value"] for choice in doubt.alternatives]
        alternatives = [
            {"format": "json", "options": {"value": _names_at(place, names)}} for place in places
        ]
        message = doubt.message.removeprefix("$: ").replace("The columns", "The properties")
        raise AmbiguousDocument(
            message.replace("`columns`", "`value`"), "$", alternatives
        ) from None
    except MalformedDocument:
        shown = ", ".join(sorted(name[:40] for name in names)[:30])
        raise MalformedDocument(f"no property holds observables; there are {shown}", "$") from None
    at = guess.columns["value"]
    notes = [
        note.replace("columns.value=", "value=")
        .replace("columns", "properties")
        .replace("column", "property")
        .replace("rows", "items")
        for note in guess.notes
    ]
    places = at if isinstance(at, list) else [at]
    type_at = guess.columns.get("type")
    type_name = None if type_at is None or len(places) > 1 else names[type_at]
    return ValueGuess([names[place] for place in places], notes, type_name)


def _row(item: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [_cell(item.get(name)) for name in names]


def _names_at(place: int | list[int], names: Sequence[str]) -> str | list[str]:
    """The properties at some places, as JMESPath expressions."""
    if isinstance(place, list):
        return [_step(names[at]) for at in place]
    return _step(names[place])


def _cell(value: Any) -> str:
    """A property as a cell: of a list of texts all of them."""
    if isinstance(value, list):
        return " ".join(entry for entry in value if isinstance(entry, str))
    return value if isinstance(value, str) else ""

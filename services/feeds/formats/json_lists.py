"""Where the items of a JSON document are: its lists, its keys, or the document itself."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.column_profiles import DESCRIBING
from services.feeds.formats.fields import type_of
from services.feeds.formats.json_items import SAMPLED_ITEMS, guess_values, step
from services.feeds.formats.table_columns import is_of_context
from services.feeds.formats.table_headers import (
    header_words,
    is_harmless,
    is_meta_name,
    is_value_name,
)
from shared.stix import ObservableType

_MAX_DEPTH: Final = 5
_MAX_CANDIDATES: Final = 200
_CLOSE: Final = 0.4
"""A second list that holds so many observables as a share of the best one is a doubt."""

_NEARLY_ALL: Final = 0.8
_PLAIN_PATH: Final = re.compile(r"[\w.\"-]+")
"""Lists that can be joined: names alone."""

_NOT_MEANT: Final = "Only the lists {} hold observables, which are not meant by their names"
_COLUMN_NAMES: Final = frozenset({"columns", "fields", "header", "headers", "names", "cols"})
_FAILURES: Final = frozenset({"error", "errors", "failed", "failure", "fail"})
_MESSAGES: Final = frozenset({"message", "detail", "msg"})


class ItemList(NamedTuple):
    """A list that may hold a document's items.

    Attributes:
        items: its entries.
        path: the JMESPath expression that locates it.
        share: the share of its first entries that hold observables.
        columns: the names of the columns, if the entries are rows and something names them.
    """

    items: list[Any]
    path: str
    share: float
    columns: Sequence[str] = ()


def find_items(document: Any) -> ItemList | None:
    """The items of a document for which no option locates them.

    They are the list, at most five levels deep, whose entries hold most observables; the document
    itself if it holds observables beside its lists; of a document keyed by ids the values, and of
    one keyed by observables the keys. Lists of what is harmless, and what stands under names such
    as `source` or `license`, are not meant.

    Raises:
        AmbiguousDocument: two lists hold observables, or a list and the object around it, and
            nothing tells them apart; or only lists of what is harmless hold some.
    """
    if isinstance(document, list):
        return ItemList(document, "$", 1.0)
    if not isinstance(document, dict):
        return None
    candidates = _candidates(document)
    items = [candidate for candidate in candidates if not _is_harmless(candidate)]
    telling = [candidate for candidate in items if candidate.share and not _is_meta(candidate)]
    single = next(_single_items(document, "", 0), None)
    if telling:
        best = _best(telling)
        if single is not None and _is_rival(single, best):
            raise _ambiguous([best, single])
        return best
    if single is not None and not _is_failure(document):
        return single
    if others := [candidate for candidate in candidates if candidate.share]:
        raise _ambiguous(
            others, "Only the lists {} hold observables, which are not meant by their names"
        )
    return candidates[0] if candidates else None


def _candidates(document: dict[str, Any]) -> list[ItemList]:
    candidates = []
    for items, path, columns in _lists(document, "", 0):
        candidates.append(ItemList(items, path, _share(items), columns))
        if len(candidates) == _MAX_CANDIDATES:
            break
    return candidates


def _single_items(value: dict[str, Any], path: str, depth: int) -> Iterator[ItemList]:
    """The objects that are items by themselves, the outermost first: one item has no list."""
    if _value_types(value):
        yield ItemList([value], f"[{path or '@'}]", 1.0)
    for name, entry in value.items():
        if isinstance(entry, dict) and depth < _MAX_DEPTH and not is_meta_name(name):
            yield from _single_items(entry, _joined(path, step(name)), depth + 1)


def _is_rival(single: ItemList, best: ItemList) -> bool:
    """Whether an object may be meant instead of a list within it.

    The address of a page beside a list of objects is that of the document itself.
    """
    path = single.path[1:-1]
    if path != "@" and not best.path.startswith(f"{path}."):
        return False
    (item,) = single.items
    values = _value_types(item)
    is_of_objects = any(isinstance(entry, dict) for entry in best.items[:SAMPLED_ITEMS])
    return not is_of_objects or not values <= {ObservableType.URL}


def _value_types(value: dict[str, Any]) -> set[ObservableType]:
    """The types of an object's properties that are observables and have a name of values."""
    return {
        kind
        for name, entry in value.items()
        if isinstance(entry, str) and is_value_name(name) and (kind := type_of(entry))
    }


def _is_failure(document: dict[str, Any]) -> bool:
    """Whether a document says that something went wrong, and gives no data."""
    for name, value in document.items():
        words = header_words(name)
        if words[:1] in (["error"], ["errors"]) and value:
            return True
        if words in (["success"], ["ok"]) and value is False:
            return True
        if isinstance(value, str) and value.lower() in _FAILURES:
            return True
    return not _MESSAGES.isdisjoint(document)


def _best(candidates: list[ItemList]) -> ItemList:
    best, *others = sorted(candidates, key=lambda candidate: -candidate.share)
    if rivals := [other for other in others if other.share >= best.share * _CLOSE]:
        raise _ambiguous([best, *rivals])
    return best


def _ambiguous(
    candidates: Sequence[ItemList], words: str = "The lists {} hold observables"
) -> AmbiguousDocument:
    paths = [candidate.path for candidate in candidates]
    choices = list(paths)
    if all(map(_PLAIN_PATH.fullmatch, paths)) and not any(each.columns for each in candidates):
        choices.append(f"[{', '.join(paths)}][]")
    return AmbiguousDocument(
        f"{words.format(', '.join(paths))}: say by the option `items` which of them are "
        "indicators.",
        "$",
        [{"format": "json", "options": {"items": choice}} for choice in choices],
    )


def _is_harmless(candidate: ItemList) -> bool:
    """Whether the names on a list's path say that it holds what is known to be harmless."""
    return any(is_harmless(header_words(name)) for name in _names(candidate))


def _is_meta(candidate: ItemList) -> bool:
    return any(map(is_meta_name, _names(candidate)))


def _names(candidate: ItemList) -> list[str]:
    return candidate.path.replace("(", ".").replace(")", "").split(".")


def _lists(
    value: dict[str, Any], path: str, depth: int
) -> Iterator[tuple[list[Any], str, Sequence[str]]]:
    """The lists of objects, texts or rows within an object."""
    if keys := _observable_keys(value):
        yield keys, f"keys({path or '@'})", ()
    # Some providers key their items by an id: {"1234": [{…}], …}, or {"1234": {…}, …}.
    values = list(value.values())
    has_names = _are_names(value)
    columns = next((value[name] for name in value if name.lower() in _COLUMN_NAMES), None)
    is_mixed = has_names and any(
        is_meta_name(name) or is_harmless(header_words(name)) for name in value
    )
    is_mixed |= columns is not None
    if len(values) > 1 and not is_mixed and all(isinstance(entry, list) for entry in values):
        yield [item for items in values for item in items], _joined(path, "*[]"), ()
        if not has_names:
            return
    are_objects = len(values) > 1 and all(isinstance(entry, dict) for entry in values)
    if are_objects and not is_mixed and (not keys or _holds_values(values)):
        yield values, _joined(path, "*"), ()
    for name, entry in value.items():
        here = _joined(path, step(name))
        if isinstance(entry, list) and entry and isinstance(entry[0], dict | str):
            yield entry, here, ()
        elif isinstance(entry, list) and entry and isinstance(entry[0], list):
            yield entry, here, _column_names(columns, len(entry[0]))
        elif isinstance(entry, dict) and depth < _MAX_DEPTH:
            yield from _lists(entry, here, depth + 1)


def _column_names(columns: Any, width: int) -> Sequence[str]:
    """The names of rows' columns, from a list of them or of objects with a name."""
    if not isinstance(columns, list) or len(columns) != width:
        return ()
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in columns]
    return [name if isinstance(name, str) else "" for name in names]


def _observable_keys(value: dict[str, Any]) -> list[Any]:
    """The keys of an object whose keys are observables, except those that only describe."""
    sample = list(value)[:SAMPLED_ITEMS]
    kinds = [kind for key in sample if (kind := type_of(key)) and kind not in DESCRIBING]
    is_keyed = len(kinds) > 0 and len(kinds) >= len(sample) * _NEARLY_ALL
    return list(value) if is_keyed else []


def _holds_values(values: list[Any]) -> bool:
    """Whether objects hold observables that do not only describe."""
    try:
        guess = guess_values(values)
    except AmbiguousDocument as doubt:
        return not is_of_context(doubt)
    except MalformedDocument:
        return False
    return not guess.types <= DESCRIBING


def _are_names(value: dict[str, Any]) -> bool:
    """Whether an object's keys are names of properties, and no ids."""
    return all(name.replace("_", "").replace("-", "").isalpha() for name in value)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _share(items: Sequence[Any]) -> float:
    sample = items[:SAMPLED_ITEMS]
    return sum(map(_holds_observable, sample)) / max(len(sample), 1)


def _holds_observable(item: Any) -> bool:
    """Whether an entry is an observable, or an object or row that holds one."""
    if isinstance(item, str):
        return type_of(item) is not None
    if isinstance(item, list):
        return any(isinstance(cell, str) and type_of(cell) is not None for cell in item)
    if not isinstance(item, dict):
        return False
    within = [
        inner for value in item.values() if isinstance(value, dict) for inner in value.values()
    ]
    return any(
        isinstance(value, str) and type_of(value) is not None for value in (*item.values(), *within)
    )

"""What entries of allow-lists say about a value: data in `list_effects.yaml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from services.observables.reference.hosts import host_of, is_bare
from shared.stix.domains import split_domain
from shared.stix.vocabulary import ObservableType as Type

_FILE: Final = Path(__file__).with_name("list_effects.yaml")
_BY_CATEGORY: Final = {"false_positive": "harmless", "known": "popular", "special": "none"}
_ADDRESSES: Final = frozenset({Type.IPV4, Type.IPV6})


class ListEffects(NamedTuple):
    """The content of the file.

    Attributes:
        places: effect -> place -> the word for what the entry says there.
        weights: word -> the share of the score that it takes away.
        effects: name of a list -> effect.
        leading: entries that everybody uses, on lists of many.
    """

    places: Mapping[str, Mapping[str, str]]
    weights: Mapping[str, float]
    effects: Mapping[str, str]
    leading: frozenset[str]


@cache
def list_effects() -> ListEffects:
    """What lists say."""
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return ListEffects(
        {name: effect["places"] for name, effect in document["effects"].items()},
        document["weights"],
        {name: effect for effect, names in document["lists"].items() for name in names},
        frozenset(document["leading_entries"]),
    )


def word_of(list_name: str, category: str, entry: str, place: str) -> str:
    """What an entry of a list says about a value in a place; empty when it says nothing.

    Args:
        list_name: the list.
        category: the list's, for a list that the file does not name.
        entry: the entry.
        place: see `place_of`.
    """
    data = list_effects()
    effect = data.effects.get(list_name) or _BY_CATEGORY.get(category, "none")
    if effect == "shared" and entry.removesuffix("/32") in data.leading:
        effect = "leading"
    return data.places[effect].get(place, "")


def place_of(type_: str, value: str, entry: str) -> str:
    """What an entry of a list has in common with a value: see `list_effects.yaml`."""
    if type_ in _ADDRESSES:
        return "address"
    if type_ == Type.URL:
        return _place_of_url(value, entry)
    if type_ == Type.DOMAIN:
        return _place_of_name(value, entry)
    return "content"


def _place_of_url(url: str, entry: str) -> str:
    host = host_of(url).lower().removesuffix(".")
    if not is_bare(url):
        return "private" if _is_of_another(host, entry) else "url"
    return "address" if "/" in entry else _place_of_name(host, entry)


def _place_of_name(name: str, entry: str) -> str:
    if not name.endswith(f".{entry}"):
        return "host"
    return "private" if _is_of_another(name, entry) else "below"


def _is_of_another(name: str, entry: str) -> bool:
    """Whether a name below an entry has an owner of its own: anybody may register there."""
    if not name.endswith(f".{entry}"):
        return False
    return len(entry) < len(split_domain(name).registrable or "")

"""Allow-lists: values that are harmless, or too common to mean much, with the lists they are on."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.list_effects import list_effects, place_of, word_of
from services.observables.reference.warning_list_index import Hit, WarningListIndex
from services.observables.scoring.claims import Effect
from shared.stix.vocabulary import ObservableType

_MAX_HITS: Final = 10
_WEIGHTS_BEFORE: Final = {"false_positive": -0.8, "known": -0.3}
"""By category, what facts weigh that were stored before they had words."""
_WORD: Final = 4
_HOSTING: Final = "hosting"


class AllowLists:
    """Facts such as `{"hits": [[list, "known", "cidr", "8.8.8.8/32", "leading"]]}`.

    The last word tells what the entry says about the value, see `list_effects.yaml`; it is empty
    where that is nothing. There are at most ten hits, those that weigh most, and the number of
    others as `more`.

    Args:
        lists: the packed warning lists.
    """

    name = "allow_lists"
    types: frozenset[str] = frozenset(ObservableType)
    weighs = True

    def __init__(self, lists: WarningListIndex) -> None:
        self._lists = lists

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """The lists that each value, or what it belongs to, is on."""
        all_hits = self._lists.check_many(type_, values)
        return [
            _facts_about(type_, value, hits) if hits else None
            for value, hits in zip(values, all_hits, strict=True)
        ]

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """The strongest hit takes its share of the score away; further hits take no more.

        An address of a cloud keeps its score, and its claims fade sooner.
        """
        effects = []
        strongest = min(facts["hits"], key=_weight)
        if (weight := _weight(strongest)) < 0:
            reason = f"{strongest[3]} is on the list {strongest[0]!r}."
            effects.append(Effect("allow-list", self.name, weight, reason))
        hosting = next((hit for hit in facts["hits"] if _HOSTING in hit[_WORD:]), None)
        if hosting is not None:
            reason = f"{hosting[3]} is on the list {hosting[0]!r}: its tenants change soon."
            effects.append(Effect("hosting", self.name, 0.0, reason))
        return effects


def _weight(hit: Sequence[Any]) -> float:
    """Minus the share of the score that a hit takes away."""
    if len(hit) <= _WORD:
        return _WEIGHTS_BEFORE.get(hit[1], 0.0)
    return -list_effects().weights.get(hit[_WORD], 0.0)


def _facts_about(type_: str, value: str, hits: tuple[Hit, ...]) -> Facts:
    return _facts(hits, tuple(place_of(type_, value, hit.entry) for hit in hits))


def _of_list(hit: Hit) -> list[str]:
    return [hit.name, hit.category, hit.kind, hit.entry]


@lru_cache(maxsize=8192)
def _facts(hits: tuple[Hit, ...], places: tuple[str, ...]) -> Facts:
    listed = [
        [
            hit.name,
            hit.category,
            hit.kind,
            hit.entry,
            word_of(hit.name, hit.category, hit.entry, at),
        ]
        for hit, at in zip(hits, places, strict=True)
    ]
    listed.sort(key=_weight)
    facts: dict[str, object] = {"hits": listed[:_MAX_HITS]}
    if len(listed) > _MAX_HITS:
        facts["more"] = len(listed) - _MAX_HITS
    return facts

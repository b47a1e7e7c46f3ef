"""Allow-lists: values that are harmless, or too common to mean much, with the lists they are on."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.warning_list_index import Hit, WarningListIndex
from services.observables.scoring.claims import Effect
from shared.stix.vocabulary import ObservableType

_MAX_HITS: Final = 10
_WEIGHTS: Final = {"false_positive": -0.8, "known": -0.3}


class AllowLists:
    """Facts such as `{"hits": [["Public DNS resolvers", "known", "cidr", "8.8.8.8/32"]]}`.

    There are at most ten hits, and the number of others as `more`.

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
        return [_facts(hits) if hits else None for hits in all_hits]

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """The strongest hit takes its share of the score away; further hits take no more."""
        strongest = min(facts["hits"], key=lambda hit: _WEIGHTS.get(hit[1], 0.0))
        name, category, _, entry = strongest
        weight = _WEIGHTS.get(category, 0.0)
        if not weight:
            return ()
        return (Effect("allow-list", self.name, weight, f"{entry} is on the list {name!r}."),)


@lru_cache(maxsize=8192)
def _facts(hits: tuple[Hit, ...]) -> Facts:
    facts: dict[str, object] = {
        "hits": [[hit.name, hit.category, hit.kind, hit.entry] for hit in hits[:_MAX_HITS]]
    }
    if len(hits) > _MAX_HITS:
        facts["more"] = len(hits) - _MAX_HITS
    return facts

"""The context of observables: what offline enrichers find in bulk, kept with the row as JSON, and what it is worth."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.observables.enrichers.base import OfflineEnricher
from services.observables.ingest import Said
from services.observables.knowledge import Effects
from services.observables.scoring import Effect, Kind

NOTHING: Final = "{}"
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class Offline:
    """A set of enrichers, side by side."""

    def __init__(self, enrichers: Iterable[OfflineEnricher]) -> None:
        self._enrichers = tuple(enrichers)
        self._by_name = {enricher.name: enricher for enricher in self._enrichers}
        self.effects = lru_cache(maxsize=65_536)(self._effects)

    def describe(self, type_: str, values: Sequence[str]) -> list[str]:
        """The context of each value of one type, as JSON; `{}` where there is nothing to say."""
        found = [
            (enricher.name, enricher.enrich(type_, values)) for enricher in self._enrichers if type_ in enricher.types
        ]
        if not found:
            return [NOTHING] * len(values)
        contexts = []
        for place in range(len(values)):
            facts = {name: answers[place] for name, answers in found if answers[place] is not None}
            contexts.append(_encode(facts).decode() if facts else NOTHING)
        return contexts

    def _effects(self, context: str) -> Effects:
        found: list[Effect] = []
        for name, facts in _decode(context).items():
            enricher = self._by_name.get(name)
            kind: Kind = "allow-list" if name == "allow_lists" else "enrichment"
            if enricher is not None:
                found += [Effect(kind, name, one.weight, one.reason) for one in enricher.effects(facts)]
        return tuple(found)


_offline = Offline(())


def use(offline: Offline) -> None:
    """Describe with these enrichers from now on; what was described before stays until it is looked at again."""
    global _offline  # noqa: PLW0603  # one set per process, replaced when reference data is renewed
    _offline = offline


def describe(said: Iterable[Said]) -> dict[str, str]:
    """The contexts of observables that have one, as JSON, by id."""
    by_type: dict[str, list[Said]] = {}
    for one in said:
        by_type.setdefault(one.type, []).append(one)
    contexts: dict[str, str] = {}
    for type_, together in by_type.items():
        described = _offline.describe(type_, [one.value for one in together])
        contexts |= {one.id: text for one, text in zip(together, described, strict=True) if text != NOTHING}
    return contexts


def decoded(context: str) -> dict[str, Any]:
    """A context as an object."""
    return _decode(context)


def effects(_type: str, context: str) -> Effects:
    """What a context does to the score."""
    return () if context == NOTHING else _offline.effects(context)

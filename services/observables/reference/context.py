"""The context of observables: the facts of offline enrichers, stored with the row as JSON.

Descriptions are made in bulk with the datasets that this process has loaded. The same enrichers
say what a stored context does to the score.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from services.observables.reference.datasets import BY_NAME
from services.observables.reference.enrichers.base import OfflineEnricher
from services.observables.reference.enrichers.registry import create_enrichers
from services.observables.reference.reloading_cache import ReloadingCache
from services.observables.scoring.claims import Effect
from services.observables.scoring.inputs import Effects

NOTHING: Final = "{}"
"""The context of an observable without any facts."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
_decode_facts = msgspec.json.Decoder(dict[str, Any]).decode
_NO_FACTS: Final = msgspec.Raw(b"")


class OfflineEnrichers:
    """A set of enrichers, side by side."""

    def __init__(self, enrichers: Iterable[OfflineEnricher]) -> None:
        self._enrichers = sorted(enrichers, key=attrgetter("name"))
        self._weighing = [enricher for enricher in self._enrichers if enricher.weighs]
        self._weighing_keys = [f'"{enricher.name}":' for enricher in self._weighing]
        # Only the facts of weighing enrichers are taken out of a context, and only as raw JSON.
        fields = [(enricher.name, msgspec.Raw, _NO_FACTS) for enricher in self._weighing]
        self._read = msgspec.json.Decoder(msgspec.defstruct("WeighingFacts", fields)).decode
        self._weigh = lru_cache(maxsize=65_536)(self._effects_of)

    def describe(self, type_: str, values: Sequence[str]) -> list[str]:
        """The context of each value of one type, as JSON; `{}` for a value without facts."""
        # A tuple, so that enrichers may share results about the very same values.
        fixed = tuple(values)
        members = [""] * len(values)
        for enricher in self._enrichers:
            if type_ in enricher.types:
                _append_facts(enricher, type_, fixed, members)
        return [f"{{{text[:-1]}}}" if text else NOTHING for text in members]

    def effects(self, context: str) -> Effects:
        """The effects of a context on the score."""
        for key in self._weighing_keys:  # one regular expression takes five times as long
            if key in context:
                break
        else:
            return ()
        # Contexts differ mostly in facts without weight; those with weight repeat often.
        return self._weigh(*map(bytes, msgspec.structs.astuple(self._read(context))))

    def _effects_of(self, *facts: bytes) -> Effects:
        effects: list[Effect] = []
        for enricher, raw in zip(self._weighing, facts, strict=True):
            if raw:
                effects += enricher.effects(_decode_facts(raw))
        return tuple(effects)


def _append_facts(
    enricher: OfflineEnricher, type_: str, values: tuple[str, ...], members: list[str]
) -> None:
    """Add an enricher's facts about each value as a member of a JSON object, with a comma."""
    head = f'"{enricher.name}":'
    texts: dict[int, str] = {}
    described = enricher.enrich(type_, values)
    for place, facts in enumerate(described):
        if facts is not None:
            # Values that share the facts object share its text: it is encoded once.
            text = texts.get(id(facts)) or texts.setdefault(
                id(facts), f"{head}{_encode(facts).decode()},"
            )
            members[place] += text


OFFLINE_ENRICHERS: Final = ReloadingCache(
    BY_NAME, lambda blobs: OfflineEnrichers(create_enrichers(blobs))
)
"""The enrichers of this process, over the newest data seen."""

reload_if_stale = OFFLINE_ENRICHERS.reload_if_stale
reload_if_stale_from = OFFLINE_ENRICHERS.reload_if_stale_from


@contextmanager
def use_enrichers(offline: OfflineEnrichers) -> Iterator[None]:
    """Describe with other enrichers for a while, for measurements; a reload ends it early."""
    before = OFFLINE_ENRICHERS.value
    OFFLINE_ENRICHERS.value = offline
    try:
        yield
    finally:
        OFFLINE_ENRICHERS.value = before


def describe_values(values: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Contexts as JSON, by id, for ids, types and values; values without facts are left out."""
    by_type: dict[str, tuple[list[str], list[str]]] = {}
    for identity, type_, value in values:
        ids, texts = by_type.setdefault(type_, ([], []))
        ids.append(identity)
        texts.append(value)
    offline = OFFLINE_ENRICHERS.value
    contexts: dict[str, str] = {}
    for type_, (ids, texts) in by_type.items():
        described = zip(ids, offline.describe(type_, texts), strict=True)
        contexts |= {identity: context for identity, context in described if context != NOTHING}
    return contexts


def decoded(context: str) -> dict[str, Any]:
    """A context as an object."""
    return _decode(context)


def effects(context: str) -> Effects:
    """The effects of a context on the score."""
    return () if context == NOTHING else OFFLINE_ENRICHERS.value.effects(context)

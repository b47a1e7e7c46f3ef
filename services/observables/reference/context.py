"""The context of observables: what offline enrichers find in bulk, kept with the row as JSON, and what it is worth."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from services.observables.reference.datasets import BY_NAME
from services.observables.reference.enrichers.base import OfflineEnricher
from services.observables.reference.enrichers.registry import enrichers
from services.observables.reference.reloading_cache import ReloadingCache
from services.observables.scoring.inputs import Effects
from services.observables.scoring.score import Effect

NOTHING: Final = "{}"
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
_decode_facts = msgspec.json.Decoder(dict[str, Any]).decode
_NO_FACTS: Final = msgspec.Raw(b"")


class OfflineEnrichers:
    """A set of enrichers, side by side."""

    def __init__(self, enrichers: Iterable[OfflineEnricher]) -> None:
        self._enrichers = sorted(enrichers, key=attrgetter("name"))
        self._weighing = [enricher for enricher in self._enrichers if enricher.weighs]
        self._mentioned = [f'"{enricher.name}":' for enricher in self._weighing]
        fields = [(enricher.name, msgspec.Raw, _NO_FACTS) for enricher in self._weighing]
        self._read = msgspec.json.Decoder(msgspec.defstruct("Weighed", fields)).decode
        self._weigh = lru_cache(maxsize=65_536)(self._effects_of)

    def describe(self, type_: str, values: Sequence[str]) -> list[str]:
        """The context of each value of one type, as JSON; `{}` where there is nothing to say."""
        asked, told = tuple(values), [""] * len(values)
        for enricher in self._enrichers:
            if type_ in enricher.types:
                _tell(enricher, type_, asked, told)
        return [f"{{{text[:-1]}}}" if text else NOTHING for text in told]

    def effects(self, context: str) -> Effects:
        """What a context does to the score."""
        for name in self._mentioned:  # an expression for all of them takes five times as long
            if name in context:
                break
        else:
            return ()
        # Names differ in what they are made of, and seldom in what that is worth.
        return self._weigh(*map(bytes, msgspec.structs.astuple(self._read(context))))

    def _effects_of(self, *facts: bytes) -> Effects:
        effects: list[Effect] = []
        for enricher, raw in zip(self._weighing, facts, strict=True):
            if raw:
                effects += enricher.effects(_decode_facts(raw))
        return tuple(effects)


def _tell(enricher: OfflineEnricher, type_: str, values: tuple[str, ...], told: list[str]) -> None:
    """Add what an enricher says about each value as a member of a JSON object, with a comma."""
    head, texts = f'"{enricher.name}":', dict[int, str]()
    said = enricher.enrich(type_, values)
    for place, facts in enumerate(said):
        if facts is not None:
            # By identity: values that share facts share the text.
            text = texts.get(id(facts)) or texts.setdefault(
                id(facts), f"{head}{_encode(facts).decode()},"
            )
            told[place] += text


OFFLINE_ENRICHERS: Final = ReloadingCache(BY_NAME, lambda blobs: OfflineEnrichers(enrichers(blobs)))
"""What this process describes with."""

reload_if_stale, reload_if_stale_from = (
    OFFLINE_ENRICHERS.reload_if_stale,
    OFFLINE_ENRICHERS.reload_if_stale_from,
)


@contextmanager
def use_enrichers(offline: OfflineEnrichers) -> Iterator[None]:
    """Describe with other enrichers for a while, for measurements; newer reference data would end it early."""
    before, OFFLINE_ENRICHERS.value = OFFLINE_ENRICHERS.value, offline
    try:
        yield
    finally:
        OFFLINE_ENRICHERS.value = before


def describe_values(values: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The contexts of values, given as id, type and value, that have one: as JSON, by id."""
    by_type: dict[str, tuple[list[str], list[str]]] = {}
    for identity, type_, value in values:
        ids, texts = by_type.setdefault(type_, ([], []))
        ids.append(identity)
        texts.append(value)
    offline, contexts = OFFLINE_ENRICHERS.value, dict[str, str]()
    for type_, (ids, texts) in by_type.items():
        described = offline.describe(type_, texts)
        contexts |= {one: text for one, text in zip(ids, described, strict=True) if text != NOTHING}
    return contexts


def decoded(context: str) -> dict[str, Any]:
    """A context as an object."""
    return _decode(context)


def effects(context: str) -> Effects:
    """What a context does to the score."""
    return () if context == NOTHING else OFFLINE_ENRICHERS.value.effects(context)

"""The context of observables: what offline enrichers find in bulk, kept with the row as JSON, and what it is worth."""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from services.observables.enrichers.base import OfflineEnricher
from services.observables.enrichers.offline import enrichers
from services.observables.ingest import Said
from services.observables.knowledge import Effects
from services.observables.reference import store
from services.observables.reference.datasets import BY_NAME
from services.observables.scoring import Effect, Kind

NOTHING: Final = "{}"
_LOOK_EVERY: Final = 60.0
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


class _Current:
    """The enrichers that this process describes with, and the data they stand on."""

    def __init__(self) -> None:
        self.offline = Offline(enrichers({}))
        self.digests: dict[str, str] = {}
        self.look_again = 0.0


_current: _Current | None = None


def _now() -> _Current:
    global _current  # noqa: PLW0603  # one per process, made when it is first needed
    if _current is None:
        _current = _Current()
    return _current


def freshen(session: Session, *, now: bool = False) -> None:
    """Take newer reference data, if there is some; looked for once a minute, or `now`."""
    current = _now()
    if not now and time.monotonic() < current.look_again:
        return
    current.look_again = time.monotonic() + _LOOK_EVERY
    digests = {name: digest for name, digest in store.digests(session).items() if name in BY_NAME}
    if digests != current.digests:
        current.offline = Offline(enrichers({name: store.packed(session, name) for name in digests}))
        current.digests = digests


def describe(said: Iterable[Said]) -> dict[str, str]:
    """The contexts of observables that have one, as JSON, by id."""
    return describe_values((one.id, one.type, one.value) for one in said)


def describe_values(values: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The contexts of values, given as id, type and value, that have one: as JSON, by id."""
    by_type: dict[str, tuple[list[str], list[str]]] = {}
    for identity, type_, value in values:
        ids, texts = by_type.setdefault(type_, ([], []))
        ids.append(identity)
        texts.append(value)
    offline, contexts = _now().offline, dict[str, str]()
    for type_, (ids, texts) in by_type.items():
        described = offline.describe(type_, texts)
        contexts |= {one: text for one, text in zip(ids, described, strict=True) if text != NOTHING}
    return contexts


def decoded(context: str) -> dict[str, Any]:
    """A context as an object."""
    return _decode(context)


def effects(_type: str, context: str) -> Effects:
    """What a context does to the score."""
    return () if context == NOTHING else _now().offline.effects(context)

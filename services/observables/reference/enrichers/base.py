"""What an offline enricher is: facts about values in bulk, from the value itself and from data that lies here."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.observables.scoring.score import Effect

Facts = Mapping[str, Any]
"""What an enricher says about one value: small, JSON, stable keys. Values that share facts may share the object."""


class OfflineEnricher(Protocol):
    """Facts without asking anyone: pure, in bulk, microseconds per value."""

    name: str
    """The key its facts are kept under, for instance `network`."""

    types: frozenset[str]
    """The types of observables it knows something about."""

    weighs: bool
    """Whether its facts ever do something to the score."""

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """Facts for each canonical value of one type, in their order; None where there is nothing to say."""
        ...

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """What these facts do to the score; usually nothing."""
        ...

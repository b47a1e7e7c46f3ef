"""The protocol of offline enrichers: facts in bulk, from the value itself and from local data."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.observables.scoring.claims import Effect

Facts = Mapping[str, Any]
"""An enricher's facts about one value: small, JSON, stable keys.

Values with the same facts may share the object.
"""


class OfflineEnricher(Protocol):
    """Pure functions that take microseconds per value."""

    name: str
    """The key its facts are stored under, for instance `network`."""

    types: frozenset[str]
    """The types of observables that it can describe."""

    weighs: bool
    """Whether any of its facts has an effect on the score."""

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """Facts for each canonical value of one type, in their order; None for no facts."""
        ...

    def effects(self, facts: Facts) -> Sequence[Effect]:
        """The effects of these facts on the score; usually none."""
        ...

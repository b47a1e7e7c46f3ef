"""The parts of events that trends read; msgspec skips all other fields without decoding them."""

import re
from typing import Any, Final
from uuid import UUID

import msgspec

from shared.events import Topic
from shared.events.feeds import OBSERVED
from shared.events.observables import CHANGED, ENRICHED


class ObservedIndicator(msgspec.Struct, gc=False):
    """An indicator in `IndicatorsObserved`."""

    type: str
    value: str
    malware: str | None = None


class FeedIdentity(msgspec.Struct, gc=False):
    """The feed in `IndicatorsObserved`."""

    id: UUID
    name: str
    origin: str = ""


_CATALOG_NAME: Final = re.compile(r"([a-z0-9]+)(?:-[a-z0-9]+)+")


def origin_of(feed: FeedIdentity) -> str:
    """Whose observations a feed publishes: feeds of one origin are one witness.

    Without a named origin it is the provider's part of a name as the catalog gives them
    (`ipsum-level1`), else the feed itself.
    """
    if feed.origin:
        return feed.origin
    match = _CATALOG_NAME.fullmatch(feed.name)
    return match[1] if match else str(feed.id)


class Chunk(msgspec.Struct):
    """`IndicatorsObserved`: a chunk of a feed's list."""

    feed: FeedIdentity
    observed_at: str
    seen: list[ObservedIndicator] = msgspec.field(default_factory=list)
    is_repetition: bool = msgspec.field(default=False, name="repetition")


class ChangedObservable(msgspec.Struct, gc=False):
    """A change in `ObservablesChanged`."""

    type: str
    value: str
    kind: str


class ChangeBatch(msgspec.Struct):
    """`ObservablesChanged`."""

    source: str
    changes: list[ChangedObservable]


class RegistrarFact(msgspec.Struct):
    """The facts in `Enriched`; a provider may put any JSON value there."""

    registrar: Any = None


class EnrichedObservable(msgspec.Struct):
    """`Enriched`: the answer of an enricher about one observable."""

    type: str
    enricher: str
    facts: RegistrarFact


OBSERVED_CHUNK: Final = Topic(OBSERVED.name, Chunk, OBSERVED.summary, OBSERVED.key)
CHANGED_BATCH: Final = Topic(CHANGED.name, ChangeBatch, CHANGED.summary, CHANGED.key)
ENRICHED_OBSERVABLE: Final = Topic(
    ENRICHED.name, EnrichedObservable, ENRICHED.summary, ENRICHED.key
)

"""Bursts of values: feeds of enough origins see a value within a sliding window. No I/O.

Time is what the events say, so the same log always has the same bursts.
"""

from typing import Final
from uuid import UUID

from services.observables.trends.events import Chunk, FeedIdentity, ObservedIndicator, origin_of
from services.observables.trends.trend import WINDOW, Trend, storable_name
from shared.stix.vocabulary import MAX_LENGTH, ObservableType

ORIGINS: Final = 5
"""Distinct origins of feeds that make a burst; five lists of one provider are one."""

_KEYS: Final = 1_000_000
_TYPES: Final = frozenset(ObservableType)

FeedSighting = tuple[int, float]
"""Number of a feed, and when it saw the value; all values of a chunk share one."""

_NO_BURST: Final = (-1, float("-inf"))


class ValueBursts:
    """Bursts of values within one partition, which has all events of a value, in order.

    A value takes a hash and, as long as one feed alone has seen it, a sighting that the whole
    chunk shares: about 100 bytes. A value that a second feed sees gets a list: when enough feeds
    last saw it, then one sighting per feed.

    Values live in two generations of two windows each; a sighting moves its value to the younger
    one, and what is left in the older one is dropped when the generations turn. Therefore events
    may come up to one window late without changing the result. A generation that is full ends
    early.

    Args:
        origins: distinct origins that make a burst.
        window: seconds within which they must see the value.
        keys: values that one generation may hold.
    """

    def __init__(self, origins: int = ORIGINS, window: int = WINDOW, keys: int = _KEYS) -> None:
        self._enough = origins
        self._window = window
        self._keys = keys
        self._feeds: dict[UUID, int] = {}
        self._names: list[str] = []
        self._origins: list[str] = []
        self._young: dict[int, FeedSighting | list[FeedSighting]] = {}
        self._old: dict[int, FeedSighting | list[FeedSighting]] = {}
        self._until = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, tenant: str, chunk: Chunk, at: float) -> list[Trend]:
        """Add a chunk that was observed at a time; return the bursts that it completes."""
        self._turn_generations(at)
        feed = self._feed_number(chunk.feed)
        young = self._young
        old = self._old
        sighting = (feed, at)
        bursts: list[Trend] = []
        for indicator in chunk.seen:
            # Python's hash has 64 bits and a random key per process: among millions of values,
            # a collision is practically impossible, and none can be constructed.
            key = hash((tenant, indicator.type, indicator.value))
            state = young.get(key)
            if state is None:
                state = old.get(key)
                if state is None:
                    young[key] = sighting
                    continue
                young[key] = state
            if isinstance(state, tuple):
                if state[0] == feed:
                    if state[1] < at:
                        young[key] = sighting
                    continue
                state = young[key] = [_NO_BURST, state]
            if (burst := self._add_sighting(state, tenant, indicator, sighting)) is not None:
                bursts.append(burst)
        return bursts

    def _feed_number(self, feed: FeedIdentity) -> int:
        """A small number instead of the UUID; the feed's name and origin are kept up to date."""
        number = self._feeds.setdefault(feed.id, len(self._names))
        if number == len(self._names):
            self._names.append("")
            self._origins.append("")
        self._names[number] = feed.name
        self._origins[number] = origin_of(feed)
        return number

    def _turn_generations(self, at: float) -> None:
        span = 2 * self._window
        if at < self._until and len(self._young) < self._keys:
            return
        # After a gap in time, the younger generation is as outdated as the older one.
        self._old = self._young if at < self._until + span else {}
        self._young = {}
        self._until = max(self._until, (at // span + 1) * span)

    def _add_sighting(
        self,
        state: list[FeedSighting],
        tenant: str,
        indicator: ObservedIndicator,
        sighting: FeedSighting,
    ) -> Trend | None:
        # Each feed counts once, with its newest sighting.
        for place, (feed, at) in enumerate(state):
            if feed == sighting[0]:
                if at < sighting[1]:
                    state[place] = sighting
                break
        else:
            state.append(sighting)
        if len(state) <= self._enough:
            return None
        # Slide the window to the newest sighting, and drop what has left it.
        burst, *sightings = state
        latest = max(at for _, at in sightings)
        since = latest - self._window
        state[1:] = [sighting for sighting in sightings if sighting[1] > since]
        origins = {self._origins[feed] for feed, _ in state[1:]}
        if len(origins) < self._enough:
            return None
        # It is the same burst as long as enough feeds saw it within the last window.
        state[0] = (-1, latest)
        if burst[1] > since or not _is_storable(indicator):
            return None
        names = tuple(sorted(storable_name(self._names[feed]) for feed, _ in state[1:]))
        start = int(latest // self._window * self._window)
        return Trend(
            tenant,
            "value",
            indicator.value,
            indicator.type,
            names,
            len(origins),
            None,
            start,
            self._window,
        )


def _is_storable(indicator: ObservedIndicator) -> bool:
    value = indicator.value
    return indicator.type in _TYPES and 0 < len(value) <= MAX_LENGTH and "\0" not in value

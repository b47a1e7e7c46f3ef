"""From records of the log to trends. No I/O.

A replay plan says where reading begins, and from where on trends are news.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from services.observables.trends.bursts import ValueBursts
from services.observables.trends.events import (
    CHANGED_BATCH,
    ENRICHED_OBSERVABLE,
    OBSERVED_CHUNK,
    ChangeBatch,
    Chunk,
    EnrichedObservable,
    origin_of,
)
from services.observables.trends.rises import (
    SubjectRises,
    SystemNumbers,
    count_families,
    count_registrar,
    count_systems,
)
from services.observables.trends.trend import LATENESS, WINDOW, HourlyPeak, Trend
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, parse
from shared.timestamps import parse_timestamp

Place = tuple[str, int]
"""Topic, as the cluster names it, and partition."""

RISES_BACK: Final = 3 * WINDOW
"""Seconds before the place where reading resumes from which rises are judged again.

A minute is judged after the last of its records is committed, so a restart may come in between.
"""

_KEYS: Final = 2_000_000
"""Values in one generation of all partitions: with two generations, at most about 400 MB."""

_SLACK: Final = 5.0
"""Seconds that clocks of producers may differ by."""

_REGISTRATION: Final = "rdap"
"""The enricher whose registrar counts; a second one must not count the domain twice."""


@dataclass(frozen=True)
class PartitionSpan:
    """A partition's offsets.

    Attributes:
        begin: where reading begins, to know what was before.
        resume: from where on bursts are announced; those before were announced earlier.
        end: where the partition ended when the plan was made.
    """

    begin: int
    resume: int
    end: int


@dataclass(frozen=True)
class ReplayPlan:
    """The records to read after a start, and those among them that are news.

    Attributes:
        values_from: time in the log from which on values matter; only subjects look further back.
        rises_from: end of the first minute whose rises are announced.
    """

    spans: Mapping[Place, PartitionSpan]
    values_from: float = 0.0
    rises_from: float = 0.0


class Analysis:
    """The state of reading the log once, from the plan's beginning on.

    Args:
        plan: which partitions there are and where they begin.
        prefix: what the cluster's names of topics begin with.
        numbers_of: gives the autonomous systems of addresses; without it none rises.
        peaks: those of the hours before.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        prefix: str = "",
        numbers_of: SystemNumbers | None = None,
        peaks: Iterable[HourlyPeak] = (),
    ) -> None:
        self._plan = plan
        self._prefix = prefix
        self._numbers_of = numbers_of
        self._positions = {place: span.begin for place, span in plan.spans.items()}
        self._times = dict.fromkeys(plan.spans, 0.0)
        observed = [place for place in plan.spans if place[0] == prefix + OBSERVED_CHUNK.name]
        self._bursts = {place: ValueBursts(keys=_KEYS // len(observed)) for place in observed}
        self._rises = SubjectRises(peaks)
        self._chunks = msgspec.json.Decoder(Chunk)
        self._changes = msgspec.json.Decoder(ChangeBatch)
        self._answers = msgspec.json.Decoder(EnrichedObservable)

    def positions(self) -> dict[Place, int]:
        """The offset that each partition goes on with; safe to call from any thread."""
        return dict(self._positions)

    def handle(self, record: ConsumedRecord, timestamp: float) -> list[Trend]:
        """Handle one record; return the bursts that it completes.

        Args:
            record: of one of the plan's partitions; a repeated one changes nothing.
            timestamp: when it came into the log, in seconds since the epoch.

        Raises:
            InvalidInput: it is no event of its topic; it counts as handled.
        """
        if not self.pass_over(record, timestamp):
            return []
        place = (record.topic, record.partition)
        topic = record.topic.removeprefix(self._prefix)
        if topic == OBSERVED_CHUNK.name:
            return self._handle_observed(place, record, timestamp)
        if topic == ENRICHED_OBSERVABLE.name:
            self._handle_enriched(record, timestamp)
        elif self._numbers_of is not None:
            self._handle_changed(record, timestamp, self._numbers_of)
        return []

    def pass_over(self, record: ConsumedRecord, timestamp: float) -> bool:
        """Count a record as handled; return whether it is new.

        Args:
            record: of one of the plan's partitions.
            timestamp: when it came into the log, in seconds since the epoch.
        """
        place = (record.topic, record.partition)
        if record.offset < self._positions[place]:
            return False
        self._positions[place] = record.offset + 1
        self._times[place] = max(self._times[place], timestamp)
        return True

    def _handle_observed(
        self, place: Place, record: ConsumedRecord, timestamp: float
    ) -> list[Trend]:
        event = parse(OBSERVED_CHUNK, record, self._chunks)
        chunk = event.data
        try:
            at = epoch_seconds(chunk.observed_at)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"{chunk.observed_at[:80]!r} is no time.", field="observed_at"
            ) from error
        if chunk.is_repetition:
            return []  # nothing of it is seen now for the first time
        # A wrong clock must not move the windows of all feeds into the future. For subjects,
        # whose minutes are judged when they are over, a chunk is at most LATENESS older than its
        # place in the log.
        counted_at = min(max(at, timestamp - LATENESS), timestamp)
        counts = count_families(chunk)
        self._rises.add(event.tenant, chunk.feed.name, counts, counted_at, origin_of(chunk.feed))
        if timestamp < self._plan.values_from:
            return []
        bursts = self._bursts[place].add(event.tenant, chunk, min(at, timestamp + LATENESS))
        return bursts if record.offset >= self._plan.spans[place].resume else []

    def _handle_changed(
        self, record: ConsumedRecord, timestamp: float, numbers_of: SystemNumbers
    ) -> None:
        event = parse(CHANGED_BATCH, record, self._changes)
        # New to the platform, not to one feed: five lists of one address make no network rise.
        new = [(change.type, change.value) for change in event.data.changes if change.kind == "new"]
        self._rises.add(event.tenant, event.data.source, count_systems(new, numbers_of), timestamp)

    def _handle_enriched(self, record: ConsumedRecord, timestamp: float) -> None:
        event = parse(ENRICHED_OBSERVABLE, record, self._answers)
        answer = event.data
        if answer.enricher == _REGISTRATION and answer.type == "domain-name":
            counts = count_registrar(answer.facts.registrar)
            self._rises.add(event.tenant, answer.enricher, counts, timestamp)

    def tick(self, now: float, ends: Mapping[Place, int]) -> list[Trend]:
        """The rises of the minutes that are complete: those that every partition has passed.

        Args:
            now: the present, which is how far a partition is that was read to its end.
            ends: where the partitions end; an unknown end is that of the plan.
        """
        passed = [
            now if self._positions[place] >= ends.get(place, span.end) else self._times[place]
            for place, span in self._plan.spans.items()
        ]
        until = min(passed, default=0.0) - LATENESS - _SLACK
        # The rises of minutes before `rises_from` were announced before the restart.
        self._rises.close(min(until, self._plan.rises_from))
        return self._rises.close(until)

    def take_peaks(self) -> list[HourlyPeak]:
        """The peaks of the hours that are over and were not taken before, to be stored."""
        return self._rises.take_peaks()


@lru_cache(maxsize=4096)  # all chunks of a run share theirs
def epoch_seconds(text: str) -> float:
    """RFC 3339 as seconds since the epoch; without an offset it is UTC.

    Raises:
        ValueError: it is no time.
    """
    return parse_timestamp(text).timestamp()

"""From records of the log to trends. No I/O: a plan says where reading begins and from where on trends are news."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.observables.trends.windows import (
    LATENESS,
    WINDOW,
    Chunk,
    Kind,
    Networks,
    SubjectRises,
    Trend,
    ValueBursts,
    families,
    moment,
    networks,
    registrars,
)
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, Topic, parse
from shared.events.feeds import OBSERVED
from shared.events.observables import CHANGED, ENRICHED

Place = tuple[str, int]
"""Topic, as the cluster names it, and partition."""

_KEYS: Final = 2_000_000
"""Values in one generation of all partitions together: with two generations about 400 MB at the very most."""
_SLACK: Final = 5.0
"""Seconds that clocks of producers may differ by."""


class ChangedObservable(msgspec.Struct, gc=False):
    """Of a change, what trends are made of."""

    type: str
    value: str
    kind: str


class ChangeBatch(msgspec.Struct):
    """Of `ObservablesChanged`, what trends are made of."""

    source: str
    changes: list[ChangedObservable]


class RegistrarFact(msgspec.Struct):
    """Of an answer's facts, what trends are made of."""

    registrar: Any = None


class EnrichedEvent(msgspec.Struct):
    """Of `Enriched`, what trends are made of."""

    type: str
    enricher: str
    facts: RegistrarFact


_OBSERVED = Topic(OBSERVED.name, Chunk, OBSERVED.summary, OBSERVED.key)
_CHANGED = Topic(CHANGED.name, ChangeBatch, CHANGED.summary, CHANGED.key)
_ENRICHED = Topic(ENRICHED.name, EnrichedEvent, ENRICHED.summary, ENRICHED.key)
_REGISTRATION: Final = "rdap"
"""The enricher that knows a domain's registrar; another one that also does must not count the domain twice."""


@dataclass(frozen=True)
class PartitionSpan:
    """A partition's offsets.

    Attributes:
        begin: where reading begins, to know what was before.
        resume: from where on bursts are announced: what is before was announced in an earlier life.
        end: where the partition ended when the plan was made.
    """

    begin: int
    resume: int
    end: int


@dataclass(frozen=True)
class ReplayPlan:
    """What is read after a start, and what of it is news.

    Attributes:
        values_from: time in the log from which on values matter; only subjects look further back.
        rises_from: end of the first minute whose rises are announced.
    """

    spans: Mapping[Place, PartitionSpan]
    values_from: float = 0.0
    rises_from: float = 0.0


class Analysis:
    """The state of one reading of the log, from the plan's beginning on.

    Args:
        plan: which partitions there are and where they begin.
        prefix: what the cluster's names of topics begin with.
        numbers_of: gives the autonomous systems of addresses; without it none rises.
    """

    def __init__(
        self, plan: ReplayPlan, prefix: str = "", numbers_of: Networks | None = None
    ) -> None:
        self._plan = plan
        self._prefix = prefix
        self._numbers_of = numbers_of
        self._places = {place: span.begin for place, span in plan.spans.items()}
        self._times = dict.fromkeys(plan.spans, 0.0)
        mine = [place for place in plan.spans if place[0] == prefix + OBSERVED.name]
        self._values = {place: ValueBursts(keys=_KEYS // len(mine)) for place in mine}
        self._subjects = SubjectRises()
        self._chunks = msgspec.json.Decoder(Chunk)
        self._changes = msgspec.json.Decoder(ChangeBatch)
        self._answers = msgspec.json.Decoder(EnrichedEvent)

    def positions(self) -> dict[Place, int]:
        """The offset that each partition goes on with; safe to call from any thread."""
        return dict(self._places)

    def handle(self, record: ConsumedRecord, timestamp: float) -> list[Trend]:
        """Take one record; the bursts it completes.

        Args:
            record: of one of the plan's partitions; one that was handled before changes nothing.
            timestamp: when it came into the log, in seconds since the epoch.

        Raises:
            InvalidInput: it is no event of its topic; it counts as handled.
        """
        place = (record.topic, record.partition)
        if record.offset < self._places[place]:
            return []
        self._places[place] = record.offset + 1
        self._times[place] = max(self._times[place], timestamp)
        topic = record.topic.removeprefix(self._prefix)
        if topic == OBSERVED.name:
            return self._take_observed(place, record, timestamp)
        if topic == ENRICHED.name:
            self._take_enriched(record, timestamp)
        elif self._numbers_of is not None:
            self._take_changed(record, timestamp, self._numbers_of)
        return []

    def _take_observed(self, place: Place, record: ConsumedRecord, timestamp: float) -> list[Trend]:
        event = parse(_OBSERVED, record, self._chunks)
        chunk = event.data
        try:
            at = moment(chunk.observed_at)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"{chunk.observed_at[:80]!r} is no time.", field="observed_at"
            ) from error
        # A wrong clock must not move everybody's windows into the future. For subjects, whose minutes are judged
        # when they are over, a chunk is at most LATENESS older than its place in the log.
        minute = min(max(at, timestamp - LATENESS), timestamp)
        self._subjects.add(event.tenant, chunk.feed.name, families(chunk), minute)
        if timestamp < self._plan.values_from:
            return []
        bursts = self._values[place].add(event.tenant, chunk, min(at, timestamp + LATENESS))
        return bursts if record.offset >= self._plan.spans[place].resume else []

    def _take_changed(self, record: ConsumedRecord, timestamp: float, numbers_of: Networks) -> None:
        event = parse(_CHANGED, record, self._changes)
        # New to the platform, not to one feed: five lists of the same address do not make a network rise.
        new = [(one.type, one.value) for one in event.data.changes if one.kind == "new"]
        found: Counter[tuple[Kind, str]] = networks(new, numbers_of)
        self._subjects.add(event.tenant, event.data.source, found, timestamp)

    def _take_enriched(self, record: ConsumedRecord, timestamp: float) -> None:
        event = parse(_ENRICHED, record, self._answers)
        if event.data.enricher == _REGISTRATION and event.data.type == "domain-name":
            self._subjects.add(
                event.tenant, event.data.enricher, registrars(event.data.facts.registrar), timestamp
            )

    def tick(self, now: float, ends: Mapping[Place, int]) -> list[Trend]:
        """The rises of the minutes that are complete: those that every partition has passed.

        Args:
            now: the present, which is how far a partition is that was read to its end.
            ends: where the partitions end, as far as that is known.
        """
        passed = [
            now if self._places[place] >= ends.get(place, span.end) else self._times[place]
            for place, span in self._plan.spans.items()
        ]
        until = min(passed, default=0.0) - LATENESS - _SLACK
        self._subjects.close(min(until, self._plan.rises_from))  # was announced in an earlier life
        return self._subjects.close(until)


RISES_BACK: Final = 3 * WINDOW
"""Rises are judged again this long before the place where reading resumes: a minute is over later than its records."""

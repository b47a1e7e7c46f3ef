"""Where reading begins: far enough back that every trend that is still to be announced is judged by all it rests on.

A burst rests on the two windows before it, a rise on the six hours before its window. The group's committed offsets
say what was handled to the end; everything from there on is announced, what is before is only remembered. Without
committed offsets (the first start) the last two windows are announced.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.observables.trends.analysis import RISES_BACK, PartitionSpan, Place, ReplayPlan
from services.observables.trends.windows import HISTORY, LATENESS, WINDOW
from shared.events.observables import ENRICHED
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_VALUES: Final = 2 * WINDOW + 2 * LATENESS
_FULL: Final = (HISTORY + 2) * WINDOW + RISES_BACK + 2 * LATENESS
_HISTORIES: Final = (_FULL, 3 * 3600, 3600, _VALUES)
_CHEAP: Final = 20_000
"""Records, of up to 1,000 indicators each, that may be read for the baselines' sake: seconds, not minutes."""
_ANSWER: Final = 0.1
"""What an answer of an enricher, one to a record, counts as beside a chunk."""
_LOOKS: Final = tuple(float(60 << n) for n in range(14))
"""Seconds before now at which the place to resume is looked for: a minute to five days."""


class PartitionOffsets(NamedTuple):
    """A partition's first offset, its end, and what the group has committed."""

    first: int
    end: int
    committed: int | None


class OffsetClient:
    """Asks a cluster about offsets; it reads no record and is no member of the group."""

    def __init__(self, settings: Settings) -> None:
        servers = settings.kafka_bootstrap_servers
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers, client_id="sentineliq-trends")
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers, client_id="sentineliq-trends")

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def ends(self, topics: Collection[str]) -> dict[Place, int]:
        """The end of every partition of these topics."""
        places = []
        for described in await self._admin.describe_topics(list(topics)):
            places += [
                TopicPartition(described["topic"], one["partition"])
                for one in described["partitions"]
            ]
        found = await self._consumer.end_offsets(places)
        return {(place.topic, place.partition): end for place, end in found.items()}

    async def offsets(self, group: str, places: Collection[Place]) -> dict[Place, PartitionOffsets]:
        """What there is of these partitions."""
        asked = [TopicPartition(*place) for place in places]
        first = await self._consumer.beginning_offsets(asked)
        ends = await self._consumer.end_offsets(asked)
        committed = await self._admin.list_consumer_group_offsets(group)
        found = {}
        for place in asked:
            stored = committed.get(place)
            at = (
                stored.offset
                if stored is not None and first[place] <= stored.offset <= ends[place]
                else None
            )
            found[place.topic, place.partition] = PartitionOffsets(first[place], ends[place], at)
        return found

    async def at(self, time: float, offsets: Mapping[Place, PartitionOffsets]) -> dict[Place, int]:
        """The first offset of each partition that is not older than a time; its end when all are."""
        asked = {TopicPartition(*place): int(time * 1000) for place in offsets}
        found = await self._consumer.offsets_for_times(asked)
        return {
            (place.topic, place.partition): offsets[place.topic, place.partition].end
            if one is None
            else one.offset
            for place, one in found.items()
        }


async def plan_replay(
    settings: Settings, group: str, places: Collection[Place], now: float
) -> ReplayPlan:
    """Where the reading of these partitions begins and where it resumes.

    Raises:
        KafkaError: the cluster does not say.
    """
    async with OffsetClient(settings) as asked:
        offsets = await asked.offsets(group, places)
        recent = await asked.at(now - 2 * WINDOW, offsets)
        resume = {
            place: recent[place] if one.committed is None else one.committed
            for place, one in offsets.items()
        }
        since = now - await _back_to(asked, now, offsets, resume)
        for history in _HISTORIES:
            begin = await asked.at(since - history, offsets)
            if (
                sum(max(0, resume[place] - begin[place]) * _cost(place) for place in offsets)
                <= _CHEAP
            ):
                break
    if history != _FULL:
        log.warning(
            "trends.short_history",
            seconds=history,
            reason="more records than may be read for baselines",
        )
    spans = {
        place: PartitionSpan(min(begin[place], resume[place]), resume[place], one.end)
        for place, one in offsets.items()
    }
    rises_from = since - RISES_BACK if history == _FULL else since
    return ReplayPlan(spans, values_from=since - _VALUES, rises_from=rises_from)


def _cost(place: Place) -> float:
    return _ANSWER if place[0].endswith(ENRICHED.name) else 1.0


async def _back_to(
    asked: OffsetClient,
    now: float,
    offsets: Mapping[Place, PartitionOffsets],
    resume: Mapping[Place, int],
) -> float:
    """Seconds before now at which no partition was further than where it resumes."""
    for back in _LOOKS:
        then = await asked.at(now - back, offsets)
        if all(then[place] <= resume[place] for place in offsets):
            return back
    return _LOOKS[-1]

"""Where reading begins: far enough back that every trend rests on all the records it depends on.

A burst depends on the two windows before it, a rise on the six hours before its window. The
group's committed offsets say what was handled completely. Trends from there on are announced;
older records only rebuild the state. Without committed offsets, at the first start, the trends of
the last two windows are announced.
"""

from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from typing import Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.observables.trends.analysis import RISES_BACK, PartitionSpan, Place, ReplayPlan
from services.observables.trends.rises import HISTORY
from services.observables.trends.trend import LATENESS, WINDOW
from shared.events.observables import ENRICHED
from shared.kafka.clients import running
from shared.kafka.cluster import REQUEST_MS, client_options
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_BURST_HISTORY: Final = 2 * WINDOW + 2 * LATENESS
_FULL_HISTORY: Final = (HISTORY + 2) * WINDOW + RISES_BACK + 2 * LATENESS
_HISTORIES: Final = (_FULL_HISTORY, 3 * 3600, 3600, _BURST_HISTORY)
"""Seconds of history, the longest first; the first one that is cheap enough is read."""

_AFFORDABLE: Final = 20_000
"""Chunks, of up to 1,000 indicators, that are read for baselines: seconds, not minutes."""

_ANSWER_COST: Final = 0.1
"""The cost of an enricher's answer, one to a record, relative to a chunk."""

_LOOK_BACK: Final = tuple(float(60 << doubling) for doubling in range(14))
"""Seconds before now at which the place to resume is looked for: a minute to five days."""


class PartitionOffsets(NamedTuple):
    """A partition's first offset, its end, and the group's committed offset if it is readable."""

    first: int
    end: int
    committed: int | None


class OffsetClient:
    """Asks a cluster about offsets; it reads no record and is no member of the group."""

    def __init__(self, settings: Settings) -> None:
        options = client_options(settings)
        self._consumer = AIOKafkaConsumer(
            client_id="sentineliq-trends", request_timeout_ms=REQUEST_MS, **options
        )
        self._admin = AIOKafkaAdminClient(
            client_id="sentineliq-trends", request_timeout_ms=REQUEST_MS, **options
        )

        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            await started.enter_async_context(running(self._consumer))
            await started.enter_async_context(running(self._admin))
            self._running = started.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def ends(self, topics: Collection[str]) -> dict[Place, int]:
        """The end of every partition of these topics."""
        partitions = []
        for topic in await self._admin.describe_topics(list(topics)):
            partitions += [
                TopicPartition(topic["topic"], partition["partition"])
                for partition in topic["partitions"]
            ]
        ends = await self._consumer.end_offsets(partitions)
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def offsets(self, group: str, places: Collection[Place]) -> dict[Place, PartitionOffsets]:
        """The offsets of these partitions, and those that the group has committed."""
        partitions = [TopicPartition(*place) for place in places]
        firsts = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        committed = await self._admin.list_consumer_group_offsets(group)
        offsets = {}
        for place in partitions:
            first = firsts[place]
            end = ends[place]
            stored = committed.get(place)
            # The log may have been truncated since, or the topic made anew.
            valid = stored is not None and first <= stored.offset <= end
            offsets[place.topic, place.partition] = PartitionOffsets(
                first, end, stored.offset if valid else None
            )
        return offsets

    async def at(self, time: float, offsets: Mapping[Place, PartitionOffsets]) -> dict[Place, int]:
        """The first offset of each partition that is not older than a time; its end if all are."""
        times = {TopicPartition(*place): int(time * 1000) for place in offsets}
        answers = await self._consumer.offsets_for_times(times)
        first = {}
        for partition, answer in answers.items():
            place = (partition.topic, partition.partition)
            first[place] = offsets[place].end if answer is None else answer.offset
        return first


async def plan_replay(
    settings: Settings, group: str, places: Collection[Place], now: float
) -> ReplayPlan:
    """Decide where the reading of these partitions begins and where it resumes.

    Raises:
        KafkaError: the cluster does not answer.
    """
    async with OffsetClient(settings) as client:
        offsets = await client.offsets(group, places)
        recent = await client.at(now - 2 * WINDOW, offsets)
        resume = {
            place: recent[place] if span.committed is None else span.committed
            for place, span in offsets.items()
        }
        since = now - await _seconds_back(client, now, offsets, resume)
        # A shorter history costs baselines of subjects, but never a burst.
        for history in _HISTORIES:
            begin = await client.at(since - history, offsets)
            if _cost(begin, resume) <= _AFFORDABLE:
                break
    if history != _FULL_HISTORY:
        log.warning(
            "trends.history_shortened",
            seconds=history,
            reason="the baselines rest on more records than may be read",
        )
    spans = {
        place: PartitionSpan(min(begin[place], resume[place]), resume[place], span.end)
        for place, span in offsets.items()
    }
    rises_from = since - RISES_BACK if history == _FULL_HISTORY else since
    return ReplayPlan(spans, values_from=since - _BURST_HISTORY, rises_from=rises_from)


def _cost(begin: Mapping[Place, int], resume: Mapping[Place, int]) -> float:
    """Chunks between two positions; answers of enrichers count for less."""
    cost = 0.0
    for place, end in resume.items():
        weight = _ANSWER_COST if place[0].endswith(ENRICHED.name) else 1.0
        cost += max(0, end - begin[place]) * weight
    return cost


async def _seconds_back(
    client: OffsetClient,
    now: float,
    offsets: Mapping[Place, PartitionOffsets],
    resume: Mapping[Place, int],
) -> float:
    """Seconds before now at which no partition was further than where it resumes."""
    for back in _LOOK_BACK:
        then = await client.at(now - back, offsets)
        if all(then[place] <= resume[place] for place in offsets):
            return back
    return _LOOK_BACK[-1]

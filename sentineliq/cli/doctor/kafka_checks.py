"""Checks of Kafka: the cluster, the consumer groups, the dead letters."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from sentineliq.cli.client.dead_letters import dead_letters
from sentineliq.cli.doctor.check import Check, start_step
from shared.kafka.clients import running
from shared.kafka.cluster import administrator, client_options, consumer_group
from shared.kafka.topics import missing_topics, topic_name
from shared.settings import ServiceName, Settings

CONSUMED_TOPICS: Final[Mapping[ServiceName, tuple[str, ...]]] = {
    "feeds": ("observables.applied.v1", "observables.posted.v1", "gateway.revoked.v1"),
    "observables": (
        "feeds.observed.v1",
        "feeds.finished.v1",
        "mitre.techniques.v1",
        "observables.changed.v1",
        "gateway.revoked.v1",
    ),
    "notifications": (
        "observables.changed.v1",
        "observables.trending.v1",
        "observables.lists.v1",
        "feeds.health.v1",
        "feeds.finished.v1",
        "mitre.released.v1",
        "scheduler.fired.v1",
        "notifications.delivered.v1",
        "gateway.revoked.v1",
    ),
    "mitre": ("gateway.revoked.v1",),
    "scheduler": ("gateway.revoked.v1",),
}
"""The topics that each service consumes. A test compares them with the services' subscriptions,
which are not imported here: they bring the services' whole code."""

_Offsets = Mapping[TopicPartition, OffsetAndMetadata]
_ANSWER_WITHIN: Final = 6.0
_FAR_BEHIND: Final = 1000


@dataclass(frozen=True)
class KafkaChecks:
    """The checks of Kafka.

    Attributes:
        cluster: whether it answers.
        consumers: how far each service's consumers are behind.
        dead_letters: what waits there; None where Kafka does not answer.
    """

    cluster: Check
    consumers: dict[ServiceName, Check] = field(default_factory=dict)
    dead_letters: Check | None = None


def check_kafka(settings: Settings) -> KafkaChecks:
    """Check the cluster and what is in it."""
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> KafkaChecks:
    servers = settings.kafka_bootstrap_servers
    try:
        async with asyncio.timeout(_ANSWER_WITHIN), administrator(settings) as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
            missing = await missing_topics(admin, settings)
    except (KafkaError, TimeoutError) as error:
        seen = f"no answer at {servers}: {error or type(error).__name__}"
        return KafkaChecks(Check("Kafka", "problem", seen, start_step("KAFKA_BOOTSTRAP_SERVERS")))
    if missing:
        seen = f"{len(missing)} topics are missing, such as {missing[0]}"
        step = "the consumers create them within seconds; if none runs, start one"
        return KafkaChecks(Check("Kafka", "problem", seen, step))
    try:
        consumers, letters = await asyncio.gather(
            _check_consumers(settings), _check_dead_letters(settings)
        )
    except KafkaError as error:
        seen = f"{brokers} broker(s) at {servers} do not answer about consumer groups: {error}"
        step = "a cluster that has just started needs some seconds; run this again"
        return KafkaChecks(Check("Kafka", "problem", seen, step))
    cluster = Check("Kafka", "ok", f"{brokers} broker(s) at {servers}")
    return KafkaChecks(cluster, consumers, letters)


async def _check_consumers(settings: Settings) -> dict[ServiceName, Check]:
    """Whether the groups have members, and how many records they have not committed."""
    places, groups = await asyncio.gather(_read_places(settings), _read_groups(settings))
    return {
        service: _consumer_check(
            service, members, _lag(settings, CONSUMED_TOPICS[service], places, committed)
        )
        for service, (members, committed) in groups.items()
    }


async def _read_groups(settings: Settings) -> dict[ServiceName, tuple[int, _Offsets]]:
    """How many members the group of each service has, and what it has committed."""
    groups: dict[ServiceName, tuple[int, _Offsets]] = {}
    async with administrator(settings) as admin:
        for service in CONSUMED_TOPICS:
            # One by one: the library cannot read the description of several.
            group = consumer_group(settings, service)
            responses = await admin.describe_consumer_groups([group])
            descriptions = [entry for response in responses for entry in response.groups]
            # The sixth field of a description lists the members.
            members = sum(len(description[5]) for description in descriptions)
            groups[service] = members, await admin.list_consumer_group_offsets(group)
    return groups


async def _read_places(settings: Settings) -> dict[TopicPartition, tuple[int, int]]:
    """The first offset of each partition, and the one behind its last."""
    consumed = {topic for topics in CONSUMED_TOPICS.values() for topic in topics}
    # Without a group a subscription is all partitions; from the latest record on, nothing is read.
    consumer = AIOKafkaConsumer(
        *sorted(topic_name(settings, topic) for topic in consumed),
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    async with running(consumer):
        partitions = consumer.assignment()
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    return {partition: (begins[partition], ends[partition]) for partition in partitions}


def _lag(
    settings: Settings,
    topics: Sequence[str],
    places: Mapping[TopicPartition, tuple[int, int]],
    committed: _Offsets,
) -> dict[str, int]:
    """How many records a group has not committed, by topic."""
    lag = {topic_name(settings, topic): 0 for topic in topics}
    for partition, (begin, end) in places.items():
        if partition.topic in lag:
            reached = committed[partition].offset if partition in committed else begin
            lag[partition.topic] += max(0, end - max(begin, reached))
    return lag


def _consumer_check(service: str, members: int, lag: Mapping[str, int]) -> Check:
    behind = ", ".join(f"{topic} {count:,} behind" for topic, count in sorted(lag.items()))
    subject = f"{service} consumer"
    if not members:
        step = f"start `python -m services.{service} consumer`; see logs/celery.log"
        return Check(subject, "problem", f"the group has no members; {behind}", step)
    if max(lag.values()) > _FAR_BEHIND:
        step = "start more consumers, up to the topic's partitions; is the database busy?"
        return Check(subject, "look", behind, step)
    return Check(subject, "ok", f"{members} in the group; {behind}")


async def _check_dead_letters(settings: Settings) -> Check:
    letters = await dead_letters(settings)
    waiting = [letter for letter in letters if letter.retried_at is None]
    if not waiting:
        return Check("dead letters", "ok", "none")
    topics = ", ".join(sorted({letter.record.topic for letter in waiting}))
    step = "`sentineliq dead list`, then `dead retry`"
    return Check("dead letters", "look", f"{len(waiting):,} in {topics}", step)

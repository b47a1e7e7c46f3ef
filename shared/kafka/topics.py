"""Names, creation and settings of topics."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.errors import Unavailable
from shared.events import CATALOGUE, MAX_EVENT_BYTES
from shared.kafka.cluster import administrator
from shared.kafka.letters import MAX_LETTER_BATCH
from shared.settings import Settings

MAX_MESSAGE_BYTES = 2 * MAX_EVENT_BYTES
"""Limit of a record with its headers, `max.message.bytes`."""
_DAY_MS = 24 * 3600 * 1000
_RENEWED: Final = ("max.message.bytes", "message.timestamp.type", "segment.ms")
"""Settings that topics of an earlier version get as well. Others are the operator's to change."""
_ADDED: Final = ("flush.messages",)
"""Settings that topics of an earlier version get if they have no value of their own."""
_SET_BY_TOPIC: Final = 1
"""Source of a setting in Kafka's answer: the topic's own, neither the broker's nor the default."""


def bucket_key(bucket: int) -> bytes:
    """Return the record key of a bucket."""
    return str(bucket).encode()


def topic_name(settings: Settings, topic: str) -> str:
    """Return a topic's name in this cluster, with the installation's prefix."""
    return settings.kafka_topic_prefix + topic


def _topics_of_catalogue(settings: Settings) -> list[NewTopic]:
    topics = []
    for topic in CATALOGUE:
        # The broker's clock: consumers look for their place in a log by time, and producers' clocks
        # differ.
        config = {
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "message.timestamp.type": "LogAppendTime",
            # Kafka deletes closed segments only: without this a quiet topic keeps twice its days.
            "segment.ms": str(_DAY_MS),
        }
        if settings.kafka_replication_factor == 1:
            # No other broker has what this one acknowledged: it must outlast a power cut.
            config |= {"flush.messages": "1"}
        if topic.compacted and topic.kept_days is not None:
            retention = str(topic.kept_days * _DAY_MS)
            config |= {"cleanup.policy": "compact,delete", "retention.ms": retention}
        elif topic.compacted:
            config |= {"cleanup.policy": "compact"}
        else:
            config |= {"retention.ms": str(7 * _DAY_MS)}
        topics.append(_new_topic(settings, topic.name, settings.kafka_partitions, config))
        # Dead letters wait for an operator, who may be on holiday.
        dead_config = config | {
            "cleanup.policy": "delete",
            "retention.ms": str(90 * _DAY_MS),
            "max.message.bytes": str(MAX_LETTER_BATCH),
        }
        topics.append(_new_topic(settings, topic.dead, 1, dead_config))
    return topics


def _new_topic(settings: Settings, name: str, partitions: int, config: dict[str, str]) -> NewTopic:
    return NewTopic(
        name=topic_name(settings, name),
        num_partitions=partitions,
        replication_factor=settings.kafka_replication_factor,
        topic_configs=config,
    )


async def ensure_topics(settings: Settings) -> list[str]:
    """Create the missing topics of the catalogue, and renew the settings of the others.

    Returns:
        The names of those that were created.

    Raises:
        Unavailable: the cluster refused one; the message says why.
    """
    topics = _topics_of_catalogue(settings)
    async with administrator(settings) as admin:
        missing = await _create_missing(admin, topics)
        await _renew_settings(admin, [topic for topic in topics if topic.name not in missing])
    return missing


async def create_missing_topics(settings: Settings) -> list[str]:
    """Create the missing topics of the catalogue; returns the names of those that were created.

    Raises:
        Unavailable: the cluster refused one; the message says why.
    """
    async with administrator(settings) as admin:
        return await _create_missing(admin, _topics_of_catalogue(settings))


async def missing_topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[str]:
    """Return the names of the catalogue's topics that the cluster lacks."""
    existing = set(await admin.list_topics())
    return [topic.name for topic in _topics_of_catalogue(settings) if topic.name not in existing]


async def _create_missing(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> list[str]:
    existing = set(await admin.list_topics())
    missing = [topic for topic in topics if topic.name not in existing]
    if not missing:
        return []
    response = await admin.create_topics(missing)
    # Services do this side by side: another may have created it.
    _require_success("create", response.topic_errors, TopicAlreadyExistsError.errno)
    return [name for name, code, *_ in response.topic_errors if code == 0]


async def _renew_settings(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    own: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for _, _, _, name, entries in response.resources:
            own[name] = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_BY_TOPIC}
    changed = []
    for topic in topics:
        present = own.get(topic.name, {})
        renewed = {name: topic.topic_configs[name] for name in _RENEWED}
        for name in _ADDED:
            if name in topic.topic_configs:
                renewed[name] = present.get(name, topic.topic_configs[name])
        if any(present.get(name) != value for name, value in renewed.items()):
            # Kafka forgets all settings of a topic that the request does not repeat.
            settings = present | renewed
            changed.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, settings))
    for response in await admin.alter_configs(changed) if changed else ():
        results = [(name, code, text) for code, text, _, name in response.resources]
        _require_success("alter", results)


def _require_success(verb: str, results: Iterable[Sequence[Any]], *allowed: int) -> None:
    for name, code, *reason in results:
        if code not in (0, *allowed):
            raise Unavailable(
                f"Kafka does not {verb} the topic {name}: {reason or for_code(code).__name__}"
            )

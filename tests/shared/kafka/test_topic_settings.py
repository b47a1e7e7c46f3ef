"""Topics keep events for their days and no longer, and delete none for their size."""

import asyncio
import time

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.events import CATALOGUE, MAX_EVENT_BYTES
from shared.kafka.cluster import administrator
from shared.kafka.topics import _SET_BY_TOPIC, _topics_of_catalogue, ensure_topics, topic_name
from shared.settings import Settings

DAY = 24 * 3600 * 1000


def test_topics_keep_events_for_days_and_have_no_limit_of_size(environment: Settings) -> None:
    topics = {topic.name: topic.topic_configs for topic in _topics_of_catalogue(environment)}
    prefix = environment.kafka_topic_prefix
    for topic in CATALOGUE:
        events = topics[prefix + topic.name]
        days = topic.kept_days if topic.compacted else 7
        assert events.get("retention.ms") == (None if days is None else str(days * DAY))
        assert topics[prefix + topic.dead]["retention.ms"] == str(90 * DAY)
    for settings in topics.values():
        assert "retention.bytes" not in settings
        # Only closed segments are deleted.
        assert settings["segment.ms"] == str(DAY)


def test_topics_of_an_earlier_version_get_the_new_settings_and_keep_the_operators(
    settings: Settings,
) -> None:
    name = topic_name(settings, "scheduler.fired.v1")
    earlier = {"max.message.bytes": "1048588", "retention.ms": str(3 * DAY)}
    asyncio.run(alter(settings, name, earlier))
    wait_for(settings, name, "segment.ms", None)
    assert asyncio.run(ensure_topics(settings)) == []
    stored = wait_for(settings, name, "segment.ms", str(DAY))
    assert stored["max.message.bytes"] == str(2 * MAX_EVENT_BYTES)
    assert stored["retention.ms"] == str(3 * DAY)


def wait_for(settings: Settings, topic: str, name: str, value: str | None) -> dict[str, str]:
    """The topic's own settings once one of them has a value: Kafka applies changes later."""
    deadline = time.monotonic() + 30
    while (stored := asyncio.run(settings_of(settings, topic))).get(name) != value:
        assert time.monotonic() < deadline, stored
        time.sleep(0.2)
    return stored


async def alter(settings: Settings, topic: str, values: dict[str, str]) -> None:
    async with administrator(settings) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, values)
        (response,) = await admin.alter_configs([resource])
    assert [code for code, *_ in response.resources] == [0]


async def settings_of(settings: Settings, topic: str) -> dict[str, str]:
    async with administrator(settings) as admin:
        (response,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic)]
        )
    ((_, _, _, _, entries),) = response.resources
    return {entry[0]: entry[1] for entry in entries if entry[3] == _SET_BY_TOPIC}

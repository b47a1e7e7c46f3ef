"""Missing topics are made; those of an earlier version get the settings that consumers need."""

import asyncio
import time

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.database import database
from shared.events.audit import RECORDED
from shared.kafka.cluster import administrator
from shared.kafka.topic_upkeep import restore_topics
from shared.kafka.topics import ensure_topics, topic_name
from shared.settings import Settings


async def configuration(settings: Settings, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic_name(settings, topic))
    async with administrator(settings) as admin:
        (response,) = await admin.describe_configs([resource])
    (result,) = response.resources
    return {entry[0]: entry[1] for entry in result[4]}


async def create_as_before(settings: Settings, own: dict[str, str]) -> None:
    config = {"max.message.bytes": "1048576", "retention.ms": "123456789", **own}
    async with administrator(settings) as admin:
        name = topic_name(settings, RECORDED.dead)
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])


def test_an_earlier_topic_is_renewed_and_keeps_what_the_operator_set(
    environment: Settings,
) -> None:
    async def scenario() -> dict[str, str]:
        await create_as_before(environment, {"flush.messages": "50"})
        created = await ensure_topics(environment)
        assert topic_name(environment, RECORDED.dead) not in created
        assert await ensure_topics(environment) == []
        # Kafka answers before it has applied a change.
        async with asyncio.timeout(20):
            while True:
                config = await configuration(environment, RECORDED.dead)
                if config["message.timestamp.type"] == "LogAppendTime":
                    return config
                await asyncio.sleep(0.1)

    config = asyncio.run(scenario())
    assert int(config["max.message.bytes"]) > 1_048_576 + 32_768
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert (config["retention.ms"], config["flush.messages"]) == ("123456789", "50")


def test_one_broker_flushes_what_it_acknowledges(environment: Settings) -> None:
    async def scenario() -> dict[str, str]:
        await ensure_topics(environment)
        return await configuration(environment, RECORDED.name)

    assert asyncio.run(scenario())["flush.messages"] == "1"


def test_topics_that_are_missing_are_made_while_services_run(environment: Settings) -> None:
    async def delete() -> None:
        async with administrator(environment) as admin:
            await admin.delete_topics([topic_name(environment, RECORDED.name)])

    asyncio.run(ensure_topics(environment))
    asyncio.run(delete())
    created: list[str] = []
    end = time.monotonic() + 20
    # Kafka answers before it has deleted a topic.
    while not created and time.monotonic() < end:
        created = restore_topics(database("feeds"))
    assert created == [topic_name(environment, RECORDED.name)]
    assert restore_topics(database("feeds")) == []

"""Names and creation of topics."""

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.errors import Unavailable
from shared.events import CATALOGUE, MAX_EVENT_BYTES
from shared.kafka.cluster import administrator
from shared.settings import Settings

_MAX_MESSAGE_BYTES = 2 * MAX_EVENT_BYTES
_DAY_MS = 24 * 3600 * 1000


def bucket_key(bucket: int) -> bytes:
    """Return the record key of a bucket."""
    return str(bucket).encode()


def topic_name(settings: Settings, topic: str) -> str:
    """Return a topic's name in this cluster, with the installation's prefix."""
    return settings.kafka_topic_prefix + topic


def _topics_of_catalogue(settings: Settings) -> list[NewTopic]:
    topics = []
    for topic in CATALOGUE:
        config = {"max.message.bytes": str(_MAX_MESSAGE_BYTES)}
        if topic.compacted:
            config |= {"cleanup.policy": "compact"}
        else:
            config |= {"retention.ms": str(7 * _DAY_MS)}
        topics.append(_new_topic(settings, topic.name, settings.kafka_partitions, config))
        # Dead letters wait for an operator, who may be on holiday.
        dead_config = config | {"cleanup.policy": "delete", "retention.ms": str(90 * _DAY_MS)}
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
    """Create the missing topics of the catalogue.

    Returns:
        The names of those that were created.

    Raises:
        Unavailable: the cluster refused one; the message says why.
    """
    async with administrator(settings) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in _topics_of_catalogue(settings) if topic.name not in existing]
        if not missing:
            return []
        response = await admin.create_topics(missing)
    for name, code, *reason in response.topic_errors:
        # Services are migrated side by side: another may have created it.
        if code not in (0, TopicAlreadyExistsError.errno):
            raise Unavailable(
                f"Kafka does not create the topic {name}: {reason or for_code(code).__name__}"
            )
    return [topic.name for topic in missing]

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
    """The record key of a bucket."""
    return str(bucket).encode()


def topic_name(settings: Settings, topic: str) -> str:
    """The topic's name in this cluster: with the installation's prefix."""
    return settings.kafka_topic_prefix + topic


def _wanted(settings: Settings) -> list[NewTopic]:
    topics = []
    for topic in CATALOGUE:
        config = {"max.message.bytes": str(_MAX_MESSAGE_BYTES)}
        config |= (
            {"cleanup.policy": "compact"} if topic.compacted else {"retention.ms": str(7 * _DAY_MS)}
        )
        topics.append(_new(settings, topic.name, settings.kafka_partitions, config))
        # Dead letters wait for a person, who may be on holiday.
        topics.append(
            _new(
                settings,
                topic.dead,
                1,
                config | {"cleanup.policy": "delete", "retention.ms": str(90 * _DAY_MS)},
            )
        )
    return topics


def _new(settings: Settings, name: str, partitions: int, config: dict[str, str]) -> NewTopic:
    return NewTopic(
        name=topic_name(settings, name),
        num_partitions=partitions,
        replication_factor=settings.kafka_replication_factor,
        topic_configs=config,
    )


async def ensure_topics(settings: Settings) -> list[str]:
    """Create the topics of the catalogue that are missing.

    Returns:
        Names of those that were created.

    Raises:
        Unavailable: the cluster refused one; the message says why.
    """
    async with administrator(settings) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in _wanted(settings) if topic.name not in existing]
        if not missing:
            return []
        response = await admin.create_topics(missing)
    for name, code, *reason in response.topic_errors:
        # Services are migrated side by side: another one may have been faster.
        if code not in (0, TopicAlreadyExistsError.errno):
            raise Unavailable(
                f"Kafka does not create the topic {name}: {reason or for_code(code).__name__}"
            )
    return [topic.name for topic in missing]

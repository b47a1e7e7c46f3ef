"""Administration of the cluster, and the names of consumer groups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

from shared.kafka.lenient_records import read_leniently
from shared.settings import Settings

REQUEST_MS: Final = 10_000
"""The longest wait for an answer of Kafka: a broker that is frozen or gone is given up then."""

read_leniently()


def consumer_group(settings: Settings, service: str) -> str:
    """Return the name of a service's consumer group."""
    return f"{settings.kafka_topic_prefix}sentineliq.{service}"


@asynccontextmanager
async def administrator(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open a client that administers the cluster; it is closed when the block ends.

    Raises:
        KafkaError: the cluster does not answer.
    """
    client = AIOKafkaAdminClient(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        client_id="sentineliq-admin",
        request_timeout_ms=REQUEST_MS,
    )
    try:
        await client.start()
        yield client
    finally:
        await client.close()

"""Makes topics again that are missing, while services run."""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from shared.database import Database
from shared.errors import Unavailable
from shared.kafka.topics import create_missing_topics
from shared.settings import load_settings

_SECONDS: Final = 20


def restore_topics(_: Database) -> list[str]:
    """Create topics that are missing, after the cluster lost its log or somebody deleted one.

    Nothing else creates a topic while services run: publishers and consumers would wait for ever.

    Returns:
        The names of those that were created.

    Raises:
        Unavailable: the cluster does not answer, or refused one.
    """
    return asyncio.run(_restore())


async def _restore() -> list[str]:
    try:
        async with asyncio.timeout(_SECONDS):
            return await create_missing_topics(load_settings())
    except (KafkaError, TimeoutError) as error:
        raise Unavailable("Kafka does not answer with its topics.") from error

"""The doctor's checks of what flows: outboxes, consumer groups, dead letters."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.exc import DBAPIError

from sentineliq.cli.commands.dead import letters
from sentineliq.cli.doctor.checks import Check
from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError
from shared.kafka.cluster import administrator, consumer_group
from shared.kafka.consumer import Subscription
from shared.kafka.outbox import OUTBOX
from shared.kafka.topics import topic_name
from shared.settings import SERVICES, ServiceName, Settings

_FAR_BEHIND = 1000


class Outbox:
    """Whether each service's events leave its outbox: looked at twice, with the other checks between.

    Args:
        settings: where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first = {service: self._oldest(service) for service in SERVICES}

    def check(self, service: ServiceName) -> Check:
        """Whether what waited at first has left."""
        first, (oldest, count) = self._first[service][0], self._oldest(service)
        subject = f"{service} outbox"
        if oldest is not None and oldest == first:
            step = f"start `python -m services.{service} consumer`, which publishes it; see logs/celery.log"
            return Check(subject, "problem", f"{count:,} events wait and none has left", step)
        return Check(subject, "ok", f"{count:,} events wait")

    def _oldest(self, service: str) -> tuple[int | None, int]:
        own = Database(self._settings.database_url.get_secret_value(), service)
        try:
            with own.transaction(PLATFORM) as session:
                oldest, count = session.execute(
                    sa.select(sa.func.min(OUTBOX.c.id), sa.func.count()).select_from(OUTBOX)
                ).one()
                return oldest, count
        except (SentinelIQError, DBAPIError):
            return None, 0  # no schema yet: the migrations' row says so
        finally:
            own.close()


def consumer_groups(settings: Settings) -> dict[str, list[Check]]:
    """How far each service's consumers are behind, by service; those that consume nothing are left out."""
    topics: dict[str, list[str]] = {service: _topics(settings, service) for service in SERVICES}
    consuming = {service: names for service, names in topics.items() if names}
    figures = asyncio.run(_groups(settings, consuming))
    return {service: [_lag(service, *figure)] for service, figure in figures.items()}


def _topics(settings: Settings, service: str) -> list[str]:
    subscriptions: list[Subscription[Any]] = importlib.import_module(
        f"services.{service}.consumers"
    ).SUBSCRIPTIONS
    return [topic_name(settings, one.topic.name) for one in subscriptions]


def _lag(service: str, members: int, lag: Mapping[str, int]) -> Check:
    behind = ", ".join(f"{topic} {count:,} behind" for topic, count in sorted(lag.items()))
    subject = f"{service} consumer"
    if not members:
        step = f"start `python -m services.{service} consumer`; see logs/celery.log"
        return Check(subject, "problem", f"nobody is in the group; {behind}", step)
    if max(lag.values()) > _FAR_BEHIND:
        return Check(
            subject,
            "look",
            behind,
            "more consumers, up to the topic's partitions; is the database busy?",
        )
    return Check(subject, "ok", f"{members} in the group; {behind}")


async def _groups(
    settings: Settings, topics: Mapping[str, list[str]]
) -> dict[str, tuple[int, dict[str, int]]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    async with administrator(settings) as admin, consumer:
        return {
            service: await _group(admin, consumer, settings, service, names)
            for service, names in topics.items()
        }


async def _group(
    admin: AIOKafkaAdminClient,
    consumer: AIOKafkaConsumer,
    settings: Settings,
    service: str,
    topics: list[str],
) -> tuple[int, dict[str, int]]:
    """Members of a service's group, and by topic how many records they have not committed."""
    group = consumer_group(settings, service)
    described = await admin.describe_consumer_groups([group])
    members = sum(len(one[5]) for response in described for one in response.groups)
    committed = await admin.list_consumer_group_offsets(group)
    lag: dict[str, int] = {}
    for found in await admin.describe_topics(topics):
        parts = [TopicPartition(found["topic"], one["partition"]) for one in found["partitions"]]
        ends, begins = await consumer.end_offsets(parts), await consumer.beginning_offsets(parts)
        reached = {
            part: committed[part].offset if part in committed else begins[part] for part in parts
        }
        lag[found["topic"]] = sum(
            max(0, ends[part] - max(reached[part], begins[part])) for part in parts
        )
    return members, lag


def dead_letters(settings: Settings) -> Check:
    """How many dead letters nobody has looked after."""
    waiting = [one for one, retried in asyncio.run(letters(settings)) if retried is None]
    if not waiting:
        return Check("dead letters", "ok", "none")
    topics = ", ".join(sorted({one.topic for one in waiting}))
    return Check(
        "dead letters",
        "look",
        f"{len(waiting):,} in {topics}",
        "`sentineliq dead list`, then `dead retry`",
    )

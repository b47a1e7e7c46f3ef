"""A collection in a topic of a tenant's cluster, against the real broker."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from services.observables.pushes.targets import kafka
from shared.database import Database
from shared.kafka.clients import running
from shared.kafka.cluster import administrator, client_options
from shared.settings import Settings
from tests.observables.pushes.conftest import Pushes
from tests.observables.taxii.conftest import append, indicator

PARTITIONS = 3


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"own.{uuid4().hex[:8]}"

    async def make() -> None:
        async with administrator(settings) as admin:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])

    asyncio.run(make())
    return name


@pytest.fixture
def records(settings: Settings, topic: str) -> Callable[[], list[Any]]:
    """Reads the topic's records."""

    async def read() -> list[Any]:
        async with running(AIOKafkaConsumer(**client_options(settings))) as consumer:
            places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            read_so_far: list[Any] = []
            while len(read_so_far) < sum(ends.values()):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    read_so_far += batch
            return read_so_far

    return lambda: asyncio.run(read())


@pytest.fixture
def target(settings: Settings, topic: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "stream",
        "kind": "kafka",
        "config": {
            "servers": settings.kafka_bootstrap_servers,
            "topic": topic,
            "tls": "none",
            "mechanism": settings.kafka_sasl_mechanism,
        },
    }
    if settings.kafka_username is not None and settings.kafka_password is not None:
        fields["credentials"] = {
            "username": settings.kafka_username,
            "password": settings.kafka_password.get_secret_value(),
        }
    return fields


def test_each_object_is_a_record_and_its_id_the_key(
    pushes: Pushes,
    collection: str,
    own: Database,
    target: dict[str, Any],
    records: Callable[[], list[Any]],
) -> None:
    append(own, collection, range(700))
    push = pushes.add(collection_id=collection, **target)
    assert pushes.run(push) == {"status": "ok", "sent": 700}
    append(own, collection, range(1), modified="2026-11-30T09:00:00.000Z", revoked=True)
    assert pushes.run(push) == {"status": "ok", "sent": 1}
    written = records()
    assert len(written) == 701
    values = {record.key.decode(): [] for record in written}  # type: dict[str, list[Any]]
    for record in written:
        document = json.loads(record.value)
        values[record.key.decode()].append(document)
        assert record.key.decode() == document["id"]
        assert dict(record.headers)["content-type"] == b"application/stix+json;version=2.1"
    assert len(values) == 700
    # The newest version of an object is the last record with its key.
    assert [each.get("revoked", False) for each in values[indicator(0)["id"]]] == [False, True]


def test_a_topic_that_is_missing_is_told_within_the_time(
    pushes: Pushes,
    collection: str,
    own: Database,
    target: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "SECONDS", 3.0)
    append(own, collection, range(1))
    target["config"]["topic"] = f"missing.{uuid4().hex[:8]}"
    push = pushes.add(collection_id=collection, **target)
    begun = time.monotonic()
    assert pushes.run(push) == {"status": "failed", "sent": 0}
    assert time.monotonic() - begun < 10
    now = pushes.show(push)
    assert now["error"]["message"]
    assert now["behind"] == 1

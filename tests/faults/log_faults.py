"""Faults of the log: records that nobody can read, forged tenants, topics that are made anew."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.faults.installation import Installation, wait_until
from tests.faults.load import Load
from tests.faults.oracle import Figures, Oracle
from tests.faults.scenario import Trial

_READERS = {"feeds.observed.v1": 1, "observables.changed.v1": 2}
"""By topic, the number of services that read it; each has its own dead letter of a record."""
Headers = Sequence[tuple[str, bytes]]


def _headers(topic: str, tenant: bytes = b"acme") -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"poison"),
        ("ce_type", topic.encode()),
        ("ce_source", b"/tests"),
        ("ce_time", b"2026-01-01T00:00:00Z"),
        ("ce_tenant", tenant),
        ("content-type", b"application/json"),
    ]


def poison(topic: str) -> list[tuple[bytes | None, Headers]]:
    """Payloads and headers, none of which can be an event of the topic."""
    deep = b'{"observations":' * 50_000
    return [
        (b"\xff\xfe no text", _headers(topic)),
        (b"{", _headers(topic)),
        (deep, _headers(topic)),
        (b"{}", _headers(topic)),
        (b"[]", []),
        (None, _headers(topic)),
        (b"{}", _headers(topic, b"\x00")),
        (b"{}", _headers(topic, b"*")),
        (b"{}", _headers(topic, b"\xff\xff")),
    ]


def poisoned_records(trial: Trial) -> Figures:
    """Records that cannot be read, in every partition: each is one dead letter."""
    sent: list[int] = []

    def fault(_: Load) -> float:
        sent.append(asyncio.run(_send_poison(trial.installation)))
        return time.monotonic()

    oracle = Oracle(trial.installation)
    before = oracle.dead_letters()
    figures = trial.run("poison", fault)
    wait_until(lambda: oracle.dead_letters() - before >= sent[0], "a dead letter of each record")
    figures.dead = oracle.dead_letters() - before
    assert figures.dead == sent[0], f"{figures.dead} dead letters for {sent[0]} records"
    return figures


async def _send_poison(installation: Installation) -> int:
    count = 0
    async with AIOKafkaProducer(**installation.brokers, max_request_size=1 << 20) as producer:
        for topic, readers in _READERS.items():
            for partition in await producer.partitions_for(topic):
                for value, headers in poison(topic):
                    await producer.send_and_wait(
                        topic, value, key=b"0", partition=partition, headers=list(headers)
                    )
                    count += readers
    return count


def recreated_topic(trial: Trial) -> Figures:
    """A topic is deleted and made anew, empty, while nothing flows."""
    oracle = Oracle(trial.installation)
    load = Load(trial.installation, "recreated topic")
    load.upload(trial.items)
    wait_until(lambda: load.announced() >= trial.items, "the first upload")
    asyncio.run(_recreate(trial.installation, "feeds.observed.v1"))
    removed_at = time.monotonic()
    recovery = trial.probe.seconds(removed_at)
    load.upload(trial.items)
    return trial.count(oracle, load, recovery)


async def _recreate(installation: Installation, topic: str) -> None:
    admin = AIOKafkaAdminClient(**installation.brokers)
    await admin.start()
    try:
        partitions = len((await admin.describe_topics([topic]))[0]["partitions"])
        await admin.delete_topics([topic])
        config = {"max.message.bytes": str(1 << 20)}
        anew = NewTopic(topic, partitions, 1, topic_configs=config)
        deadline = time.monotonic() + 30
        while True:
            response = await admin.create_topics([anew])
            # The old one is still being deleted for a moment.
            if response.topic_errors[0][1] == 0:
                return
            assert time.monotonic() < deadline, response
            await asyncio.sleep(0.1)
    finally:
        await admin.close()

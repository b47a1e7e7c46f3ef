"""The relay on the real Kafka: records that it refuses are parked, and the rest goes on."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from shared.database import PLATFORM, Database, database
from shared.errors import InvalidInput
from shared.events import Event, Topic
from shared.events.audit import RECORDED, Recorded
from shared.kafka import relay
from shared.kafka.cluster import administrator
from shared.kafka.history import read_since
from shared.kafka.outbox import MAX_RECORD_BYTES, publish
from shared.kafka.outbox_upkeep import (
    count_outbox,
    discard_parked,
    list_parked,
    prune_outbox,
    resend,
    retry_parked,
)
from shared.kafka.relay import Relay
from shared.kafka.relay_producer import RelayProducer
from shared.kafka.topics import topic_name
from shared.settings import Settings
from tests.signed_events import sign_headers

MISSING = Topic("observables.missing.v1", Recorded, "It has no topic in Kafka.", "tenant")
SMALL = Topic("observables.small.v1", Recorded, "Its topic takes small records only.", "tenant")
COMPACTED = Topic("observables.compacted.v1", Recorded, "Its topic needs keys.", "tenant")
LARGE = secrets.token_hex(4_000)
"""It stays large when it is compressed."""


@pytest.fixture
def own(settings: Settings) -> Database:
    own = database("observables")
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM outbox"))
    return own


@pytest.fixture
def keeping(settings: Settings) -> Settings:
    return settings.model_copy(update={"outbox_keep_hours": 1})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_MAX_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(relay, "MAX_ATTEMPTS", 3)


@pytest.fixture(scope="module")
def topics(settings: Settings) -> Settings:
    async def create() -> None:
        async with administrator(settings) as admin:
            await admin.create_topics(
                [
                    _new_topic(settings, SMALL, {"max.message.bytes": "2000"}),
                    _new_topic(settings, COMPACTED, {"cleanup.policy": "compact"}),
                ]
            )

    asyncio.run(create())
    return settings


def _new_topic(settings: Settings, topic: Topic[Recorded], config: dict[str, str]) -> NewTopic:
    name = topic_name(settings, topic.name)
    return NewTopic(name=name, num_partitions=1, replication_factor=1, topic_configs=config)


def event(
    target: str, topic: Topic[Recorded] = RECORDED, key: bytes | None = b"acme"
) -> Event[Recorded]:
    return Event(topic, Recorded("kim", "feeds.create", target), "acme", "/test", key)


def commit(own: Database, *events: Event[Recorded]) -> None:
    with own.transaction("acme") as session:
        publish(session, events)


def waiting(own: Database) -> int:
    with own.transaction(PLATFORM) as session:
        return count_outbox(session).waiting


def parked(own: Database) -> list[tuple[str, str]]:
    with own.transaction(PLATFORM) as session:
        return [(row.topic, row.reason) for row in list_parked(session, 100)]


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each.run()) for each in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def eventually(check: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.05)


def relay_until(own: Database, settings: Settings, check: Callable[[], Any]) -> None:
    async def scenario() -> None:
        async with running(Relay(own, settings)):
            await eventually(check)

    asyncio.run(scenario())


def published(settings: Settings, topic: Topic[Recorded] = RECORDED) -> list[tuple[str, str]]:
    """Target and id of each event of a topic, in order."""

    async def read() -> list[tuple[str, str]]:
        since = datetime.now(UTC) - timedelta(hours=1)
        return [(each.data.target, each.id) async for each in read_since(settings, topic, since)]

    return asyncio.run(read())


def test_rows_that_kafka_refuses_are_parked_with_the_reason_and_the_rest_goes_on(
    own: Database, topics: Settings
) -> None:
    commit(
        own,
        event("before"),
        event("no-topic", MISSING),
        event(LARGE, SMALL),
        event("no-key", COMPACTED, key=None),
        event("small-enough", SMALL, key=b"other"),
        event("after"),
    )
    relay_until(own, topics, lambda: len(parked(own)) == 3 and waiting(own) == 0)
    reasons = dict(parked(own))
    assert reasons[MISSING.name].endswith(f"no topic {topic_name(topics, MISSING.name)}.")
    assert "MessageSizeTooLargeError" in reasons[SMALL.name]
    assert "InvalidRecordError" in reasons[COMPACTED.name]
    assert [target for target, _ in published(topics)][-2:] == ["before", "after"]
    assert [target for target, _ in published(topics, SMALL)] == ["small-enough"]


def test_what_has_the_key_of_a_refused_row_waits_until_that_is_parked(
    own: Database, topics: Settings
) -> None:
    commit(own, event(LARGE, SMALL, b"k1"), event("k1-second", SMALL, b"k1"))
    commit(own, event("k2-first", SMALL, b"k2"), event("k2-second", SMALL, b"k2"))
    relay_until(own, topics, lambda: waiting(own) == 0)
    order = [target for target, _ in published(topics, SMALL) if target.startswith("k")]
    assert order == ["k2-first", "k2-second", "k1-second"]
    assert len(parked(own)) == 1


def test_a_parked_row_is_sent_when_an_operator_retries_it_and_gone_when_he_discards_it(
    own: Database, settings: Settings
) -> None:
    late = Topic("observables.late.v1", Recorded, "Its topic comes late.", "tenant")
    commit(own, event("first", late), event("second", late, b"other"))
    relay_until(own, settings, lambda: len(parked(own)) == 2)

    async def create() -> None:
        async with administrator(settings) as admin:
            await admin.create_topics([_new_topic(settings, late, {})])

    asyncio.run(create())
    with own.transaction(PLATFORM) as session:
        first, second = [row.id for row in list_parked(session, 10)]
        assert discard_parked(session, [second, second + 1000]) == [second]
        assert retry_parked(session, [first]) == [first]
    relay_until(own, settings, lambda: waiting(own) == 0)
    assert [target for target, _ in published(settings, late)] == ["first"]
    assert parked(own) == []


def test_what_was_published_is_kept_sent_again_with_its_id_and_deleted_in_the_end(
    own: Database, keeping: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(own, event("kept-1"), event("kept-2"))
    relay_until(own, keeping, lambda: waiting(own) == 0)
    since = datetime.now(UTC) - timedelta(minutes=1)
    with own.transaction(PLATFORM) as session:
        assert resend(session, datetime.now(UTC) + timedelta(minutes=1)) == 0
        assert resend(session, since, ["feeds.observed.v1"]) == 0
        assert resend(session, since, [RECORDED.name]) == 2
    commit(own, event("kept-3"))
    relay_until(own, keeping, lambda: waiting(own) == 0)
    sent = [each for each in published(keeping) if each[0].startswith("kept")]
    assert [target for target, _ in sent] == ["kept-1", "kept-2", "kept-1", "kept-2", "kept-3"]
    assert sent[:2] == sent[2:4]
    # The process's own settings keep nothing.
    assert prune_outbox(own) == 3


def test_an_event_that_its_topic_cannot_take_is_refused_where_it_is_written(own: Database) -> None:
    large = replace(event("large"), source="s" * MAX_RECORD_BYTES)
    with (
        pytest.raises(InvalidInput, match=r"audit\.recorded\.v1 has .* bytes with its headers"),
        own.transaction("acme") as session,
    ):
        publish(session, [event("small"), large])
    assert waiting(own) == 0


def test_a_producer_that_may_not_send_writes_nothing_and_ends_at_once(settings: Settings) -> None:
    may_send = True

    async def scenario() -> float:
        nonlocal may_send
        started = time.monotonic()
        with suppress(KeyError):
            async with RelayProducer(settings, "observables", lambda: may_send) as producer:
                payload = event("gate-open").payload()
                headers = sign_headers(settings, RECORDED.name, b"g", payload, event("z").headers())
                await (await producer.send(RECORDED.name, b"g", payload, headers))
                may_send = False
                payload = event("gate-closed").payload()
                refused = await producer.send(RECORDED.name, b"g", payload, headers)
                with pytest.raises(KafkaError):
                    await refused
                await producer.send(RECORDED.name, b"g", payload, headers)
                raise KeyError
        return time.monotonic() - started

    assert asyncio.run(scenario()) < 15
    targets = [target for target, _ in published(settings)]
    assert "gate-open" in targets
    assert "gate-closed" not in targets


RELAY = """
import asyncio, sys
from shared.database import database
from shared.kafka import relay
from shared.settings import load_settings

relay._BATCH = 1
asyncio.run(relay.Relay(database("observables"), load_settings()).run())
"""


def test_another_relay_takes_over_from_a_frozen_process_within_15_seconds(
    own: Database, settings: Settings
) -> None:
    process = subprocess.Popen([sys.executable, "-c", RELAY], env=dict(os.environ))
    numbers = range(400)
    try:
        commit(own, *(event(f"frozen-{number}") for number in numbers))

        async def scenario() -> float:
            await eventually(lambda: waiting(own) < 390)
            while not _holds_lock(own):
                await asyncio.sleep(0)
            process.send_signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            async with running(Relay(own, settings)):
                await eventually(lambda: waiting(own) == 0)
                seconds = time.monotonic() - frozen_at
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(2)
            return seconds

        seconds = asyncio.run(scenario())
    finally:
        process.kill()
        process.wait()
    sent = [each for each in published(settings) if each[0].startswith("frozen-")]
    order = list(dict.fromkeys(target for target, _ in sent))
    assert order == [f"frozen-{number}" for number in numbers]
    # What the frozen relay had sent may be repeated; nothing older follows something newer.
    positions = [int(target.removeprefix("frozen-")) for target, _ in sent]
    assert all(after >= before - 1 for before, after in pairwise(positions))
    assert seconds < 15 + 5  # the machine may be busy


def _holds_lock(own: Database) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    with own.engine.connect() as connection:
        return bool(connection.execute(sa.text(query)).scalar_one())

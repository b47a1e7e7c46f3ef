"""The outbox: one relay publishes what was committed, in order, and repeats it after a crash."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Self

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.database import PLATFORM, Database, database
from shared.events import Event, Headers
from shared.events.audit import RECORDED, Recorded
from shared.events.signature import EventSigner
from shared.kafka import relay
from shared.kafka.cluster import client_options
from shared.kafka.outbox import publish
from shared.kafka.relay import Relay
from shared.kafka.topics import topic_name
from shared.settings import Settings

NAME = "sentineliq.relay.observables"
LOCKED = (
    "FROM pg_locks WHERE locktype = 'advisory' AND objid = hashtext(:name)::bigint & 4294967295"
)


@pytest.fixture
def own(settings: Settings) -> Database:
    own = database("observables")
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM outbox"))
    return own


def recorded(target: str) -> Event[Recorded]:
    return Event(RECORDED, Recorded("kim", "feeds.create", target), "acme", "/test", b"acme")


def commit(own: Database, *targets: str) -> None:
    with own.transaction("acme") as session:
        publish(session, [recorded(target) for target in targets])


def scalar(own: Database, query: str, **values: object) -> Any:
    with own.engine.connect() as connection:
        return connection.execute(sa.text(query), values).scalar_one()


def is_empty(own: Database) -> bool:
    return scalar(own, "SELECT count(*) FROM observables.outbox") == 0


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not check():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class SlowKafka:
    """Takes the place of the producer: records what is sent, and acknowledges when it may."""

    sent: ClassVar[list[tuple[bytes, str]]] = []
    acknowledge: ClassVar[asyncio.Event]
    error: ClassVar[KafkaError | None] = None

    def __init__(self, settings: Settings, signer: str, _may_send: Callable[[], bool]) -> None:
        self.signer = EventSigner(settings, signer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def require_topic(self, topic: str) -> None:
        pass

    async def send(
        self, _topic: str, _key: bytes | None, value: bytes, headers: Headers
    ) -> asyncio.Task[None]:
        self.sent.append((value, dict(headers)["ce_id"].decode()))
        return asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        await self.acknowledge.wait()
        if type(self).error is not None:
            raise type(self).error

    def forget_acknowledged(self) -> None:
        pass


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> type[SlowKafka]:
    SlowKafka.sent = []
    SlowKafka.acknowledge = asyncio.Event()
    SlowKafka.error = None
    monkeypatch.setattr(relay, "RelayProducer", SlowKafka)
    return SlowKafka


def test_the_outbox_publishes_what_was_committed_and_nothing_else(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> list[bytes]:
        commit(own, "outbox-1", "outbox-2")
        with suppress(RuntimeError), own.transaction("acme") as session:
            publish(session, [recorded("outbox-never")])
            raise RuntimeError
        commit(own, "outbox-3")
        values: list[bytes] = []
        reader = AIOKafkaConsumer(
            topic_name(settings, RECORDED.name),
            **client_options(settings),
            auto_offset_reset="earliest",
        )
        async with running(Relay(own, settings)), reader, asyncio.timeout(15):
            while len(values) < 3:
                value = (await reader.getone()).value
                if b"outbox-" in value:
                    values.append(value)
            await eventually(lambda: is_empty(own))
        return values

    values = asyncio.run(scenario())
    assert [f"outbox-{number}".encode() in value for number, value in enumerate(values, 1)] == [
        True,
        True,
        True,
    ]


def test_a_committed_event_leaves_at_once(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    async def scenario() -> float:
        kafka.acknowledge.set()
        commit(own, "first")
        async with running(Relay(own, settings)):
            await eventually(lambda: is_empty(own))
            started = asyncio.get_running_loop().time()
            for number in range(5):
                commit(own, f"next-{number}")
                await eventually(lambda: is_empty(own))
            return asyncio.get_running_loop().time() - started

    # Five waits for the poll would take five seconds: the notification is what wakes the relay.
    assert asyncio.run(scenario()) < 2.5
    assert len(kafka.sent) == 6


def test_no_transaction_is_open_while_records_are_on_their_way(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    async def scenario() -> int:
        commit(own, "a", "b")
        async with running(Relay(own, settings)):
            await eventually(lambda: len(kafka.sent) == 2)
            await asyncio.sleep(0.1)
            open_transactions: int = scalar(
                own,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND xact_start IS NOT NULL AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'",
            )
            assert not is_empty(own)
            kafka.acknowledge.set()
            await eventually(lambda: is_empty(own))
        return open_transactions

    assert asyncio.run(scenario()) == 0


def test_what_was_not_acknowledged_is_sent_again_with_the_same_ids(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    async def scenario() -> None:
        commit(own, "a", "b")
        kafka.error = KafkaError("Kafka is gone.")
        kafka.acknowledge.set()
        async with running(Relay(own, settings)):
            await eventually(lambda: len(kafka.sent) == 2)
            kafka.error = None
            await eventually(lambda: is_empty(own))

    asyncio.run(scenario())
    assert len(kafka.sent) == 4
    assert kafka.sent[:2] == kafka.sent[2:]


def test_one_relay_works_and_another_takes_over_when_its_session_ends(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    async def scenario() -> None:
        async with running(Relay(own, settings), Relay(own, settings)):
            commit(own, "first")
            await eventually(lambda: len(kafka.sent) == 1)
            await asyncio.sleep(1.5)
            assert len(kafka.sent) == 1
            # The database ends the session while the first relay waits for Kafka.
            scalar(own, f"SELECT pg_terminate_backend(pid) {LOCKED}", name=NAME)
            kafka.acknowledge.set()
            await eventually(lambda: is_empty(own))
            commit(own, "second")
            await eventually(lambda: is_empty(own))

    asyncio.run(scenario())
    targets = [value for value, _ in kafka.sent]
    assert b"first" in targets[0]
    assert b"second" in targets[-1]
    assert len({identity for _, identity in kafka.sent}) == 2


@asynccontextmanager
async def frozen(
    frozen_relay: Relay, own: Database, until: Callable[[], bool]
) -> AsyncIterator[None]:
    """A relay that stops as if its process were frozen: its connection stays open and silent."""
    session = await own.connect_async(PLATFORM)
    relaying = asyncio.ensure_future(frozen_relay._relay(session))
    await eventually(until)
    relaying.cancel()
    with suppress(asyncio.CancelledError):
        await relaying
    yield
    await session.close()


def test_another_relay_takes_over_from_one_that_falls_silent_during_a_batch(
    own: Database,
    settings: Settings,
    kafka: type[SlowKafka],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_SESSION_SECONDS", 2.0)
    monkeypatch.setattr(relay, "_MARGIN_SECONDS", 0.5)

    async def scenario() -> None:
        commit(own, "a")
        async with frozen(Relay(own, settings), own, lambda: len(kafka.sent) == 1):
            kafka.acknowledge.set()
            async with running(Relay(own, settings)):
                await asyncio.sleep(0.5)
                assert len(kafka.sent) == 1
                await eventually(lambda: is_empty(own))

    asyncio.run(scenario())
    assert kafka.sent[0] == kafka.sent[1]


def test_a_relay_that_is_frozen_while_it_waits_holds_up_no_other(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    def is_waiting() -> bool:
        return is_empty(own) and scalar(own, f"SELECT count(*) {LOCKED}", name=NAME) == 0

    async def scenario() -> None:
        kafka.acknowledge.set()
        commit(own, "a")
        async with (
            frozen(Relay(own, settings), own, is_waiting),
            running(Relay(own, settings)),
        ):
            commit(own, "b")
            await eventually(lambda: is_empty(own))

    asyncio.run(scenario())
    assert len(kafka.sent) == 2


def test_a_relay_ends_whenever_it_is_cancelled(
    own: Database, settings: Settings, kafka: type[SlowKafka]
) -> None:
    async def scenario() -> None:
        kafka.acknowledge.set()
        for number in range(40):
            commit(own, f"cancelled-{number}")
            task = asyncio.ensure_future(Relay(own, settings).run())
            await eventually(lambda: is_empty(own))
            # Some iterations of the loop later the relay is at another place.
            for _ in range(number % 20):
                await asyncio.sleep(0)
            task.cancel()
            ended, _ = await asyncio.wait({task}, timeout=10)
            assert ended == {task}

    asyncio.run(scenario())

"""What strangers write into a topic is passed over and reported; it stops nobody."""

import asyncio
import time
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka import partition_state, refusals
from shared.kafka.cluster import client_options
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.producer import Publisher
from tests.shared.kafka.conftest import Bench

FLOOD = 10_000
PARTITIONS = 2
DEAD = "SELECT headers FROM outbox WHERE topic LIKE '%.dead' ORDER BY id"


def consumer_of(bench: Bench) -> Consumer:
    return Consumer(bench.database, bench.settings, [Subscription(RECORDED, bench.store)])


class Entries:
    """The audit's entries about refused records since a test began: rows that nobody deletes."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._first = bench.rows("SELECT coalesce(max(id), 0) AS id FROM audit")[0].id

    def __call__(self) -> list[Any]:
        query = (
            "SELECT target, details FROM audit"
            " WHERE action = 'records.refuse' AND id > :first ORDER BY id"
        )
        return self._bench.rows(query, first=self._first)


@pytest.fixture
def entries(bench: Bench) -> Entries:
    return Entries(bench)


def recorded(target: str) -> Event[Recorded]:
    return Event(RECORDED, Recorded("kim", "feeds.create", target), "acme", "/test", b"acme")


async def write(bench: Bench, records: list[tuple[int, bytes, Any]]) -> None:
    """Write records as somebody does who has got a connection, and no key."""
    async with AIOKafkaProducer(**client_options(bench.settings), linger_ms=5) as producer:
        sent = [
            await producer.send(bench.topic, value, partition=partition, headers=headers)
            for partition, value, headers in records
        ]
        await asyncio.gather(*sent)


@pytest.mark.timeout(180)
def test_a_flood_of_garbage_on_each_partition_is_passed_within_seconds(
    bench: Bench, entries: Entries
) -> None:
    good = [f"good-{number}" for number in range(8)]

    async def scenario() -> float:
        await bench.recreate_topic(PARTITIONS)
        garbage = [(number % PARTITIONS, b"\xff", []) for number in range(FLOOD * PARTITIONS)]
        await write(bench, garbage)
        for target in good:
            await bench.produce(target, key=target.encode())
        started = time.monotonic()
        await bench.run_until(
            consumer_of(bench).run(),
            lambda: set(bench.effects()) == set(good) and len(entries()) == PARTITIONS,
        )
        return time.monotonic() - started

    seconds = asyncio.run(scenario())
    # Lag back to zero within 10 s; here the audit's entries are waited for as well.
    assert seconds < 20
    assert bench.rows("SELECT * FROM consumer_offset WHERE halted_at IS NOT NULL") == []
    reported = [(row.details["count"], row.details["dead_letters"]) for row in entries()]
    assert reported == [(str(FLOOD), str(refusals.MAX_LETTERS))] * PARTITIONS
    assert len(bench.rows(DEAD)) == PARTITIONS * refusals.MAX_LETTERS


def test_forged_records_are_dead_letters_and_one_entry_of_the_audit(
    bench: Bench, entries: Entries
) -> None:
    event = recorded("forged")
    payload = event.payload()

    async def scenario() -> None:
        async with Publisher(bench.settings, "observables") as publisher:
            signed = publisher.signer.sign(RECORDED.name, b"acme", payload, event.headers())
        stolen = [(name, b"globex" if name == "ce_tenant" else text) for name, text in signed]
        platform = [(name, b"*" if name == "ce_tenant" else text) for name, text in signed]
        await write(
            bench,
            [
                (0, payload, event.headers()),
                (0, payload, stolen),
                (0, payload, platform),
                (0, payload.replace(b"forged", b"edited"), signed),
            ],
        )
        await bench.produce("good")
        await bench.run_until(
            consumer_of(bench).run(), lambda: bench.effects() == ["good"] and bool(entries())
        )

    asyncio.run(scenario())
    assert bench.effects() == ["good"]
    letters = [dict(row.headers) for row in bench.rows(DEAD)]
    assert all(letter["dead-reason"].startswith("Unauthentic") for letter in letters)
    assert len(letters) == 4
    (entry,) = entries()
    assert entry.target == "audit.recorded.v1/0"
    assert (entry.details["count"], entry.details["offsets"]) == ("4", "0 to 3")
    published = bench.rows("SELECT payload FROM outbox WHERE topic = 'audit.recorded.v1'")
    assert [msgspec.json.decode(row.payload)["action"] for row in published] == ["records.refuse"]


def test_an_entry_a_minute_tells_of_a_flood_that_goes_on(
    bench: Bench, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_state, "_REPORT_PAUSE_SECONDS", 0.2)

    async def scenario() -> None:
        await write(bench, [(0, b"1", [])])
        consumer = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(entries()) == 1)
        for _ in range(3):
            await write(bench, [(0, b"1", [])])
            await asyncio.sleep(1.2)
        assert len(entries()) == 1
        bench.execute(
            "UPDATE consumer_offset SET refusals_reported_at = now() - interval '61 seconds'"
        )
        await bench.run_until(asyncio.sleep(60), lambda: len(entries()) == 2)
        await bench.run_until(consumer, lambda: True)

    asyncio.run(scenario())
    assert [row.details["count"] for row in entries()] == ["1", "3"]


def test_a_count_outlasts_the_consumer(
    bench: Bench, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that was killed before it reported leaves the telling to the next one."""
    asyncio.run(write(bench, [(0, b"1", [])] * 5))
    last = "SELECT last_offset FROM consumer_offset WHERE last_offset = 4"
    with monkeypatch.context() as patch:
        patch.setattr(partition_state.PartitionState, "report_refusals", lambda _: None)
        asyncio.run(bench.run_until(consumer_of(bench).run(), lambda: bool(bench.rows(last))))
    assert entries() == []
    asyncio.run(bench.run_until(consumer_of(bench).run(), lambda: bool(entries())))
    assert entries()[0].details["count"] == "5"


def test_records_of_the_version_before_are_read_until_its_producers_have_ended(
    bench: Bench,
) -> None:
    unsigned = recorded("old")
    record = (0, unsigned.payload(), unsigned.headers())

    async def consume(until: Any) -> None:
        await bench.run_until(consumer_of(bench).run(), until)

    async def scenario() -> None:
        await bench.produce("new")
        await consume(lambda: bench.effects() == ["new"])
        # As the migration does with the partitions that were consumed before it.
        bench.execute("UPDATE consumer_offset SET unsigned_until = now() + interval '1 hour'")
        await write(bench, [record])
        await consume(lambda: bench.effects() == ["new", "old"])
        bench.execute("UPDATE consumer_offset SET unsigned_until = now() - interval '1 minute'")
        await write(bench, [record])
        await bench.produce("newer")
        await consume(lambda: bench.effects()[-1] == "newer")

    asyncio.run(scenario())
    assert bench.effects() == ["new", "old", "newer"]
    assert len(bench.rows(DEAD)) == 1


def test_what_a_service_has_signed_and_nobody_can_read_is_a_fault_of_our_own(
    bench: Bench, entries: Entries
) -> None:
    """A producer of a newer version, or one that is broken: nothing of it may be lost."""
    headers = recorded("x").headers()

    async def scenario() -> None:
        async with Publisher(bench.settings, "observables") as publisher:
            signed = publisher.signer.sign(RECORDED.name, b"acme", b"{", headers)
            for _ in range(150):
                await publisher.send(RECORDED.name, b"acme", b"{", signed)
            await publisher.flush()
        halted = "SELECT * FROM consumer_offset WHERE halted_at IS NOT NULL"
        await bench.run_until(consumer_of(bench).run(), lambda: bool(bench.rows(halted)))

    asyncio.run(scenario())
    assert entries() == []

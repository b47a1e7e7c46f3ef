"""A header whose name is no UTF-8 stops no consumer."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import CorruptRecordException
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.cluster import client_options
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.lenient_records import MAX_BATCH_BYTES, LenientRecords
from shared.kafka.producer import Publisher
from tests.shared.kafka.conftest import Bench
from tests.signed_events import sign_headers


class NoText(str):
    """A name that another client encodes as it likes."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def batch(compression: int, *headers: list[tuple[str, bytes | None]]) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1 << 20)
    for offset, pairs in enumerate(headers):
        builder.append(offset, 1000, b"k", b"v", pairs)
    return bytes(builder.build())


@pytest.mark.parametrize("compression", [0, 1, 4])
def test_all_records_of_a_batch_are_read(compression: int) -> None:
    first = batch(compression, [("a", b"1")], [(NoText("x"), b"2"), ("ok", None)], [])
    records = LenientRecords(first + batch(0, [("b", b"3")]))
    read = []
    while records.has_next():
        following = records.next_batch()
        assert following.validate_crc()
        read.append([record.headers for record in following])
    assert read == [
        [[("a", b"1")], [("\\xff\\xfe", b"2"), ("ok", None)], []],
        [[("b", b"3")]],
    ]


def test_a_batch_that_is_really_corrupt_is_refused() -> None:
    damaged = bytearray(batch(0, [("a", b"1")]))
    damaged[61] = 0x7F
    with pytest.raises(CorruptRecordException):
        list(LenientRecords(bytes(damaged)).next_batch())


def test_such_a_record_is_a_dead_letter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    event = Event(RECORDED, Recorded("kim", "feeds.create", "bad"), "acme", "/test")
    others = [(name, value) for name, value in event.headers() if name != "ce_id"]
    signed = sign_headers(bench.settings, RECORDED.name, None, event.payload(), others)
    headers = [(NoText("ce_id"), event.id.encode()), *signed]

    async def scenario() -> None:
        async with Publisher(bench.settings, "observables") as publisher:
            await publisher.send(RECORDED.name, None, event.payload(), headers)
            await publisher.flush()
        await bench.produce("good")
        consumer = Consumer(bench.database, bench.settings, [Subscription(RECORDED, bench.store)])
        await bench.run_until(consumer.run(), lambda: bench.effects() == ["good"])

    asyncio.run(scenario())
    (letter,) = bench.rows("SELECT headers FROM outbox WHERE topic LIKE '%.dead'")
    names = dict(letter.headers)
    assert names["\\xff\\xfe"] == event.id
    assert "lacks the header ce_id" in names["dead-reason"]


def oversized(compression: int, size: int) -> bytes:
    """A batch with one record of zeros, as a client without limits sends it."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 2 * size)
    builder.append(0, 1000, b"k", bytes(size), [])
    return bytes(builder.build())


@pytest.mark.parametrize("compression", [1, 3, 4])
def test_a_batch_is_not_expanded_beyond_its_limit(compression: int) -> None:
    data = oversized(compression, 2 * MAX_BATCH_BYTES)
    assert len(data) < 200_000
    records = LenientRecords(data + batch(compression, [("a", b"1")]))
    read = []
    while records.has_next():
        following = records.next_batch()
        assert following.validate_crc()
        read.append([(record.offset, record.key, record.value) for record in following])
    assert read == [[(0, None, None)], [(0, b"k", b"v")]]


def test_a_batch_within_the_limit_is_read() -> None:
    following = LenientRecords(oversized(4, MAX_BATCH_BYTES - 100)).next_batch()
    assert [len(record.value) for record in following] == [MAX_BATCH_BYTES - 100]


def test_an_answer_is_read_until_it_expands_to_its_limit() -> None:
    records = LenientRecords(b"".join([oversized(4, MAX_BATCH_BYTES // 2)] * 8))
    count = 0
    while records.has_next():
        records.next_batch()
        count += 1
    assert count == 4  # what is left is fetched again


def test_a_batch_that_expands_without_limit_is_a_dead_letter(bench: Bench) -> None:
    size = 8 * MAX_BATCH_BYTES
    options = {"max_request_size": 2 * size, "max_batch_size": 2 * size}

    async def scenario() -> None:
        await bench.recreate_topic()
        async with AIOKafkaProducer(
            **client_options(bench.settings), compression_type="zstd", **options
        ) as client:
            await client.send_and_wait(bench.topic, bytes(size), partition=0)
        await bench.produce("good")
        consumer = Consumer(bench.database, bench.settings, [Subscription(RECORDED, bench.store)])
        await bench.run_until(consumer.run(), lambda: bench.effects() == ["good"])

    asyncio.run(scenario())
    (letter,) = bench.rows("SELECT payload FROM outbox WHERE topic LIKE '%.dead'")
    assert len(letter.payload or b"") < 1000

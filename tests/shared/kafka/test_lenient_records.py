"""A header whose name is no UTF-8 stops no consumer."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.lenient_records import LenientRecords
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

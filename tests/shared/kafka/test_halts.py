"""A partition whose records cannot be handled is halted, and stays so until it is released."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from shared.events import ConsumedRecord
from shared.events.audit import RECORDED
from shared.kafka import partition_state
from shared.kafka.code_version import code_version
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.dlq_limit import DlqLimit, DlqLimitExceeded
from tests.shared.kafka.conftest import Bench

DEAD = "SELECT count(*) AS n FROM outbox WHERE topic LIKE '%.dead'"


def consumer_of(bench: Bench) -> Consumer:
    return Consumer(bench.database, bench.settings, [Subscription(RECORDED, bench.store)])


def halts(bench: Bench) -> list[Any]:
    return bench.rows("SELECT * FROM consumer_offset WHERE halted_at IS NOT NULL")


def record(offset: int) -> ConsumedRecord:
    return ConsumedRecord("t", 0, offset, None, b"", [])


def test_the_limit_counts_dead_letters_of_recent_records_only() -> None:
    limit = DlqLimit(window=100, share=0.1, floor=10)
    for offset in range(0, 2000, 10):
        limit.count(record(offset), ValueError())
    assert limit.dead_offsets == list(range(1900, 2000, 10))
    with pytest.raises(DlqLimitExceeded, match="nothing was lost"):
        limit.count(record(1991), ValueError())


def test_the_limit_goes_on_where_it_was_and_grants_what_a_person_allows() -> None:
    limit = DlqLimit(range(10), allowance=1, window=100, share=0.1, floor=10)
    limit.count(record(50), ValueError())
    assert limit.allowance == 0
    with pytest.raises(DlqLimitExceeded):
        limit.count(record(51), ValueError())


def test_restarts_do_not_let_more_records_pass(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One record per transaction, as large records are: each dead letter is committed by itself.
    monkeypatch.setattr("shared.kafka.consumer._BATCH_BYTES", 1)

    async def scenario() -> None:
        await bench.produce(*(f"poison-{number}" for number in range(260)), "good")
        await bench.run_until(consumer_of(bench).run(), lambda: bool(halts(bench)))
        for _ in range(2):
            # A restarted consumer stays halted.
            with suppress(TimeoutError):
                await asyncio.wait_for(consumer_of(bench).run(), 4)

    asyncio.run(scenario())
    assert bench.rows(DEAD)[0].n == 100
    assert bench.effects() == []
    (halt,) = halts(bench)
    assert halt.last_offset == 99
    assert halt.halted_version == code_version("observables")
    assert "cannot be handled" in halt.halted_reason
    actions = bench.rows("SELECT payload FROM outbox WHERE topic = 'audit.recorded.v1'")
    assert [b"consumers.halt" in row.payload for row in actions] == [True]


def test_other_partitions_go_on_and_another_version_of_the_code_releases(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await bench.produce(*(f"poison-{number}" for number in range(150)), "good")
        await bench.run_until(consumer_of(bench).run(), lambda: bool(halts(bench)))
        assert bench.effects() == []
        assert bench.rows(DEAD)[0].n == 0
        # The mended code handles them.
        monkeypatch.setattr(Bench, "store", lambda *_: None)
        monkeypatch.setattr(partition_state, "code_version", lambda _: "mended")
        offset = "SELECT last_offset FROM consumer_offset"
        await bench.run_until(
            consumer_of(bench).run(), lambda: bench.rows(offset)[0].last_offset == 150
        )

    asyncio.run(scenario())
    assert halts(bench) == []
    assert bench.rows(DEAD)[0].n == 0

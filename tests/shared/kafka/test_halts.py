"""A partition whose records cannot be handled is halted, and stays so until it is released."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.events import ConsumedRecord, Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka import batch_handler, partition_state
from shared.kafka.code_version import code_version
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.dlq_limit import NO_DEAD_LETTERS, DlqLimit, DlqLimitExceeded
from shared.kafka.offsets import release_partitions
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


def test_code_that_halted_a_partition_before_gets_no_more_dead_letters() -> None:
    with pytest.raises(DlqLimitExceeded, match="Again records"):
        DlqLimit(share=NO_DEAD_LETTERS).count(record(50), ValueError())
    limit = DlqLimit(allowance=1, share=NO_DEAD_LETTERS)
    limit.count(record(50), ValueError())
    assert limit.allowance == 0


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


def run_version(bench: Bench, monkeypatch: pytest.MonkeyPatch, version: str, is_done: Any) -> None:
    """Run a consumer of a version of the code until something holds."""
    for module in (batch_handler, partition_state):
        monkeypatch.setattr(module, "code_version", lambda _: version)
    asyncio.run(bench.run_until(consumer_of(bench).run(), is_done))


def row(bench: Bench) -> Any:
    (row,) = bench.rows("SELECT * FROM consumer_offset")
    return row


def test_of_two_versions_that_both_halted_a_partition_neither_releases_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(bench.produce(*(f"poison-{number}" for number in range(150))))
    for version, versions in (("old", "old"), ("new", "new old")):
        run_version(
            bench,
            monkeypatch,
            version,
            lambda versions=versions: bool(halts(bench)) and row(bench).halted_version == versions,
        )
    since = row(bench).halted_at
    for version in ("old", "new"):
        with suppress(AssertionError, TimeoutError):
            monkeypatch.setattr(partition_state, "code_version", lambda _, name=version: name)
            asyncio.run(asyncio.wait_for(consumer_of(bench).run(), 4))
    assert row(bench).halted_at == since
    actions = bench.rows(
        "SELECT count(*) AS n FROM outbox WHERE topic = 'audit.recorded.v1' "
        "AND convert_from(payload, 'UTF8') LIKE '%consumers.release%'"
    )
    assert actions[0].n == 1


def test_old_code_that_gets_a_partition_back_from_new_code_halts_at_the_first_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an upgrade a partition goes to and fro between them."""
    asyncio.run(bench.produce(*(f"poison-{number}" for number in range(150))))
    run_version(bench, monkeypatch, "old", lambda: bool(halts(bench)))
    with monkeypatch.context() as patch:
        patch.setattr(Bench, "store", lambda *_: None)
        run_version(bench, monkeypatch, "new", lambda: row(bench).last_offset == 149)
    assert not halts(bench)
    dead = bench.rows(DEAD)[0].n
    asyncio.run(bench.produce("good", "poison-150"))
    run_version(bench, monkeypatch, "old", lambda: bool(halts(bench)))
    assert bench.rows(DEAD)[0].n == dead
    # A person decides anew.
    with bench.database.transaction("*") as session:
        (released,) = release_partitions(session, bench.topic, None, 0)
    assert released.halted_version == "old"
    run_version(bench, monkeypatch, "old", lambda: row(bench).last_offset == 151)
    assert bench.rows(DEAD)[0].n == dead + 1


def test_what_the_database_refuses_without_an_outage_halts_the_partition_after_minutes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kafka.consumer._BLOCKED_SECONDS", 1.5)

    def store(own: Bench, session: Session, events: Sequence[Event[Recorded]]) -> None:
        if any(event.data.target.startswith("blocked") for event in events):
            session.execute(sa.text("SELECT * FROM table_of_a_migration_that_did_not_run"))
        handle(own, session, events)

    handle = Bench.store
    monkeypatch.setattr(Bench, "store", store)
    asyncio.run(bench.produce("before", "blocked", "after"))
    asyncio.run(bench.run_until(consumer_of(bench).run(), lambda: bool(halts(bench))))
    (halt,) = halts(bench)
    assert halt.last_offset == -1
    assert "table_of_a_migration_that_did_not_run" in halt.halted_reason
    assert (bench.effects(), bench.rows(DEAD)[0].n) == ([], 0)
    # Whoever has mended it releases it; who cannot lets the record become a dead letter.
    with bench.database.transaction("*") as session:
        release_partitions(session, bench.topic, None, 1)
    asyncio.run(bench.run_until(consumer_of(bench).run(), lambda: row(bench).last_offset == 2))
    assert (bench.effects(), bench.rows(DEAD)[0].n) == (["before", "after"], 1)
    assert row(bench).dead_allowance == 0

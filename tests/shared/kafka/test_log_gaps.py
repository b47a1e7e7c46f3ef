"""A log that lost records is noticed: what can still be read is not skipped, the rest is told."""

import asyncio
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest
from sqlalchemy.orm import Session

from shared.events.audit import RECORDED
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.gaps import LogGap
from tests.shared.kafka.conftest import Bench


def consumer_of(bench: Bench, **options: Any) -> Consumer:
    subscription = Subscription(RECORDED, bench.store, **options)
    return Consumer(bench.database, bench.settings, [subscription])


def gaps(bench: Bench) -> list[Any]:
    return bench.rows("SELECT * FROM log_gap ORDER BY id")


def consume(bench: Bench, count: int, **options: Any) -> None:
    """Run a consumer until there are as many effects."""
    work = consumer_of(bench, **options).run()
    asyncio.run(bench.run_until(work, lambda: len(bench.effects()) >= count))


def names(start: int, end: int) -> list[str]:
    return [f"r-{number:02}" for number in range(start, end)]


def test_all_records_of_a_recreated_topic_are_applied(bench: Bench) -> None:
    asyncio.run(bench.produce(*names(0, 40)))
    consume(bench, 40)
    asyncio.run(bench.recreate_topic())
    asyncio.run(bench.produce(*names(40, 80)))
    consume(bench, 80)
    assert bench.effects() == names(0, 80)
    (gap,) = gaps(bench)
    assert (gap.kind, gap.last_offset, gap.log_start, gap.log_end) == ("recreated", 39, 0, 40)
    assert gap.resumed_at == 0
    assert "sentineliq events resend --topic audit.recorded.v1" in gap.repair
    assert gap.repaired_at is None


def test_a_longer_recreated_topic_is_noticed_by_its_records(bench: Bench) -> None:
    asyncio.run(bench.produce(*names(0, 5)))
    consume(bench, 5)
    asyncio.run(bench.recreate_topic())
    asyncio.run(bench.produce(*names(5, 40)))
    consume(bench, 40)
    assert bench.effects() == names(0, 40)
    assert [gap.kind for gap in gaps(bench)] == ["recreated"]


def test_a_topic_recreated_under_a_live_consumer_is_noticed(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*names(0, 10))
        running = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) == 10)
        await bench.recreate_topic()
        await bench.produce(*names(10, 15))
        await bench.run_until(running, lambda: len(bench.effects()) == 15)

    asyncio.run(scenario())
    assert bench.effects() == names(0, 15)
    assert [gap.kind for gap in gaps(bench)] == ["recreated"]


def test_records_behind_a_lost_tail_are_applied(bench: Bench) -> None:
    asyncio.run(bench.produce(*names(0, 10)))
    consume(bench, 10)
    # The database knows 30 records, of which the log has 10: an older log folder was put back.
    bench.execute("UPDATE consumer_offset SET last_offset = 29")
    asyncio.run(bench.produce(*names(10, 20)))
    consume(bench, 20)
    assert set(bench.effects()) == set(names(0, 20))
    (gap,) = gaps(bench)
    assert (gap.last_offset, gap.log_end) == (29, 20)
    assert gap.resumed_at <= 10


def test_records_that_retention_deleted_are_told(bench: Bench) -> None:
    repairs: list[LogGap] = []

    def repair(_session: Session, gap: LogGap) -> str:
        repairs.append(gap)
        return "Asked for all."

    asyncio.run(bench.produce(*names(0, 5)))
    consume(bench, 5)
    asyncio.run(bench.produce(*names(5, 30)))
    asyncio.run(bench.delete_records(20))
    consume(bench, 15, repair=repair)
    assert bench.effects() == [*names(0, 5), *names(20, 30)]
    (gap,) = gaps(bench)
    assert (gap.kind, gap.last_offset, gap.resumed_at) == ("expired", 4, 20)
    assert (gap.repair, gap.repaired_at is not None) == ("Asked for all.", True)
    assert repairs[0].extent == ("15 records were deleted before they were read: offsets 5 to 19.")
    consume(bench, 15)
    assert len(gaps(bench)) == 1


def test_a_row_that_moved_back_under_a_live_consumer_is_followed(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*names(0, 20))
        running = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) == 20)
        # A standby that lacked the last transactions took over.
        bench.execute("UPDATE consumer_offset SET last_offset = 14, last_digest = NULL")
        bench.execute("DELETE FROM applied WHERE target >= 'r-15'")
        await bench.produce("r-20")
        await bench.run_until(running, lambda: "r-20" in bench.effects())

    asyncio.run(scenario())
    assert bench.effects() == names(0, 21)
    (gap,) = gaps(bench)
    assert (gap.kind, gap.last_offset, gap.log_end) == ("rewound", 14, 20)
    assert gap.repaired_at is not None


def test_a_group_of_another_cluster_tells_that_its_log_is_lost(bench: Bench) -> None:
    asyncio.run(bench.produce(*names(0, 5)))
    consume(bench, 5)
    bench.execute(
        "UPDATE consumer_offset SET last_offset = 700, consumer_group = "
        "split_part(consumer_group, '@', 1) || '@former'"
    )
    consume(bench, 10)
    (gap,) = gaps(bench)
    assert (gap.kind, gap.last_offset, gap.resumed_at) == ("replaced", 700, 0)
    consume(bench, 10)
    assert len(gaps(bench)) == 1


def test_an_intact_log_is_no_gap(bench: Bench) -> None:
    async def scenario() -> None:
        for end in (10, 20, 30):
            await bench.produce(*names(end - 10, end))
            await bench.run_until(
                consumer_of(bench).run(), lambda end=end: len(bench.effects()) == end
            )

    asyncio.run(scenario())
    assert bench.effects() == names(0, 30)
    assert gaps(bench) == []


def test_the_log_is_checked_again_while_it_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.kafka.consumer._CHECK_SECONDS", 0.5)

    async def scenario() -> None:
        await bench.produce(*names(0, 5))
        running = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) == 5)
        for start in range(5, 15):
            await bench.produce(*names(start, start + 1))
            await asyncio.sleep(0.3)
        await bench.run_until(running, lambda: len(bench.effects()) == 15)

    asyncio.run(scenario())
    assert bench.effects() == names(0, 15)
    assert gaps(bench) == []


def test_a_topic_recreated_under_a_live_consumer_may_be_longer(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*names(0, 10))
        running = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) == 10)
        await bench.recreate_topic()
        await bench.produce(*names(10, 40))
        await bench.run_until(running, lambda: "r-39" in bench.effects())

    asyncio.run(scenario())
    assert bench.effects() == names(0, 40)
    assert [gap.kind for gap in gaps(bench)] == ["recreated"]


def test_a_row_that_the_version_before_moved_is_no_gap(bench: Bench) -> None:
    asyncio.run(bench.produce(*names(0, 10)))
    consume(bench, 10)
    asyncio.run(bench.produce(*names(10, 20)))
    # The version before, beside this one for an upgrade, writes nothing but the offset.
    bench.execute("UPDATE consumer_offset SET last_offset = 19")
    bench.execute("INSERT INTO applied (target) SELECT 'r-' || n FROM generate_series(10, 19) n")
    asyncio.run(bench.produce("r-20"))
    consume(bench, 21)
    assert bench.effects() == names(0, 21)
    assert gaps(bench) == []


def test_a_log_that_grew_past_a_consumer_while_it_was_away_is_noticed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker lost its log's end, and others publish before this consumer has connected again."""
    is_away = False
    clients: list[AIOKafkaClient] = []
    send = AIOKafkaClient.send
    update = ClusterMetadata.update_metadata

    async def send_if_there(client: Any, node: int, request: Any, **options: Any) -> Any:
        answer = await send(client, node, request, **options)
        if isinstance(request, FetchRequest):
            clients.append(client)
            if is_away:
                raise KafkaConnectionError("The broker is away.")
        return answer

    def update_if_there(cluster: ClusterMetadata, metadata: Any) -> None:
        # It learns nothing of the topic either: a broker that restarts makes none anew.
        if not is_away or all(client.cluster is not cluster for client in clients):
            update(cluster, metadata)

    monkeypatch.setattr(ClusterMetadata, "update_metadata", update_if_there)
    monkeypatch.setattr(AIOKafkaClient, "send", send_if_there)

    async def scenario() -> None:
        nonlocal is_away
        await bench.produce(*names(0, 10))
        running = asyncio.ensure_future(consumer_of(bench).run())
        await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) == 10)
        is_away = True
        await bench.recreate_topic()
        await bench.produce(*names(10, 40))
        is_away = False
        await bench.run_until(running, lambda: "r-39" in bench.effects())

    asyncio.run(scenario())
    assert set(bench.effects()) == set(names(0, 40))
    assert [gap.kind for gap in gaps(bench)] == ["recreated"]

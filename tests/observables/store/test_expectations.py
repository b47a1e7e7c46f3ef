"""What was published is compared with what was applied, and each run is reported."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa

from sentineliq.local.ports import free_ports
from services.observables.store import expectations
from services.observables.store.expectations import check_expectations
from services.observables.store.handlers import handle_finished, handle_observed
from shared.database import PLATFORM, Database
from shared.events import Event
from shared.events.feeds import FINISHED, OBSERVED, Indicator, RunFinished
from shared.events.observables import RunApplied
from shared.kafka.cluster import consumer_group
from shared.kafka.log_progress import read_progress
from shared.kafka.offsets import cluster_id
from shared.kafka.producer import Publisher
from shared.kafka.topics import topic_name
from shared.settings import Settings, load_settings
from tests.observables.conftest import FEED, after, chunk, handle, outbox

pytestmark = pytest.mark.usefixtures("settings")  # the topics are there, and empty

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")
DOMAIN = Indicator("domain-name", "login.example.com")


def finish(own: Database, run: UUID, chunks: dict[int, int], **fields: Any) -> None:
    data = RunFinished(FEED, run, fields.pop("state", "succeeded"), chunks=chunks, **fields)
    event = Event(FINISHED, data, "acme", "/services/feeds", time=datetime.now(UTC).isoformat())
    with own.transaction("acme") as session:
        handle_finished(session, [event])


def reports(own: Database) -> list[RunApplied]:
    return [
        msgspec.json.decode(payload, type=RunApplied)
        for payload in outbox(own, "observables.applied.v1")
    ]


def let_time_pass(own: Database, interval: str) -> None:
    """Move all times of expectations and chunks back."""
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "UPDATE run_expectation SET check_at = check_at - CAST(:by AS interval), "
                "received_at = received_at - CAST(:by AS interval)"
            ),
            {"by": interval},
        )
        session.execute(
            sa.text("UPDATE run_chunk SET handled_at = handled_at - CAST(:by AS interval)"),
            {"by": interval},
        )


def test_a_run_is_reported_when_its_end_comes_after_its_chunks(own: Database) -> None:
    run = uuid4()
    handle(own, chunk(ADDRESS, run=run), chunk(DOMAIN, run=run, number=1))
    assert reports(own) == []
    finish(own, run, {0: 2}, seen=2)
    assert reports(own) == [RunApplied(FEED.id, run, "applied", chunks=2, received=2)]
    finish(own, run, {0: 2}, seen=2)
    handle(own, chunk(ADDRESS, run=run))
    assert reports(own) == []


def test_a_run_is_reported_by_the_last_chunk_when_its_end_comes_before(own: Database) -> None:
    run = uuid4()
    finish(own, run, {0: 1, 5: 1}, seen=2)
    handle(own, chunk(ADDRESS, run=run))
    assert reports(own) == []
    handle(own, chunk(DOMAIN, Indicator("carrier-pigeon", "coo"), run=run, into=5))
    assert reports(own) == [RunApplied(FEED.id, run, "applied", chunks=2, received=3, rejected=1)]


def test_a_run_without_chunks_is_applied(own: Database) -> None:
    run = uuid4()
    finish(own, run, {})
    assert reports(own) == [RunApplied(FEED.id, run, "applied")]


@pytest.mark.parametrize("fields", [{"seen": 4}, {"gone": 1}, {"state": "unchanged"}])
def test_of_a_feed_that_counts_no_chunks_nothing_is_expected(
    own: Database, fields: dict[str, Any]
) -> None:
    finish(own, uuid4(), {}, **fields)
    assert reports(own) == []
    with own.transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT count(*) FROM run_expectation")) == 0


def test_chunks_that_do_not_come_are_reported_after_a_minute(own: Database) -> None:
    run = uuid4()
    handle(own, chunk(ADDRESS, run=run))
    finish(own, run, {0: 2, 7: 1}, seen=3)
    let_time_pass(own, "50 seconds")
    assert check_expectations(own) == {}
    let_time_pass(own, "20 seconds")
    assert check_expectations(own) == {"incomplete": 1}
    missing = RunApplied(FEED.id, run, "incomplete", chunks=1, received=1, missing={0: 1, 7: 1})
    assert reports(own) == [missing]
    assert check_expectations(own) == {}
    handle(own, chunk(DOMAIN, run=run, number=1))
    assert reports(own) == []
    handle(own, chunk(run=run, into=7))
    assert reports(own) == [RunApplied(FEED.id, run, "applied", chunks=3, received=2)]
    let_time_pass(own, "30 days")
    assert check_expectations(own) == {}


def test_a_run_whose_chunks_still_arrive_is_not_incomplete(own: Database) -> None:
    run = uuid4()
    finish(own, run, {0: 2}, seen=2)
    let_time_pass(own, "10 minutes")
    handle(own, chunk(ADDRESS, run=run))
    assert check_expectations(own) == {}


def test_missing_chunks_are_reported_some_times_and_then_no_more(own: Database) -> None:
    run = uuid4()
    finish(own, run, {0: 2}, seen=2)
    for _ in range(20):
        let_time_pass(own, "13 hours")
        check_expectations(own)
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT headers FROM outbox WHERE topic = 'observables.applied.v1'")
        ids = [dict(headers)["ce_id"] for headers in session.scalars(query)]
    assert len(reports(own)) == len(set(ids)) == 5
    handle(own, chunk(ADDRESS, run=run), chunk(DOMAIN, run=run, number=1))
    assert [report.state for report in reports(own)] == ["applied"]


def test_the_sweep_reports_what_two_transactions_did_not_see_of_each_other(own: Database) -> None:
    handle(own, chunk(ADDRESS))  # both find the source: of two that store it, one waits
    run = uuid4()
    with own.transaction("acme") as session:
        handle_observed(session, [chunk(ADDRESS, run=run)])
        finish(own, run, {0: 1}, seen=1)  # commits first, and does not see the chunk
    assert reports(own) == []
    let_time_pass(own, "6 seconds")
    assert check_expectations(own) == {"applied": 1}
    assert [report.state for report in reports(own)] == ["applied"]


def test_of_two_transactions_that_end_a_run_together_the_second_reports_it(own: Database) -> None:
    run = uuid4()
    finish(own, run, {0: 1, 9: 1}, seen=2)
    other = threading.Thread(target=handle, args=(own, chunk(DOMAIN, run=run, into=9)))
    with own.transaction("acme") as session:
        handle_observed(session, [chunk(ADDRESS, run=run)])
        other.start()
        other.join(0.3)
        assert other.is_alive()  # it waits for the expectation's row
    other.join(30)
    assert reports(own) == [RunApplied(FEED.id, run, "applied", chunks=2, received=2)]


def test_a_full_statement_tells_what_it_corrected(own: Database) -> None:
    handle(own, chunk(ADDRESS, DOMAIN))
    run = uuid4()
    new = Indicator("ipv4-addr", "192.0.2.77")
    handle(own, chunk(ADDRESS, new, run=run, at=after(60), statement=1, into=0))
    finish(own, run, {0: 1}, seen=1, is_full=True)
    (report,) = reports(own)
    # The domain lies in another bucket; the new address is the feed's news.
    assert report.corrected == 0
    check = uuid4()
    handle(own, chunk(gone=[ADDRESS], at=after(70)))
    handle(own, chunk(ADDRESS, new, run=check, at=after(80), statement=1))
    finish(own, check, {0: 1}, is_full=True)
    assert [report.corrected for report in reports(own)] == [1]


def test_a_statement_counts_its_chunks_as_well(own: Database) -> None:
    run = uuid4()
    handle(own, chunk(ADDRESS, run=run, number=1, statement=2))
    finish(own, run, {0: 1}, seen=1, is_full=True)
    assert reports(own) == []
    let_time_pass(own, "2 minutes")
    check_expectations(own)
    assert [report.missing for report in reports(own)] == [{0: 1}]


def test_chunks_that_wait_in_the_log_are_not_missing(own: Database, settings: Settings) -> None:
    """The service is more than a minute behind: nothing is lost, and nothing is said again."""
    run = uuid4()
    waiting = chunk(ADDRESS, run=run)

    async def publish() -> None:
        async with Publisher(settings, "feeds") as publisher:
            await publisher.publish(waiting)
            await publisher.flush()

    asyncio.run(publish())
    finish(own, run, {0: 1}, seen=1)
    let_time_pass(own, "2 minutes")
    with own.transaction(PLATFORM) as session:
        # The record was appended before the end of the run, as it is in a backlog.
        session.execute(sa.text("UPDATE run_expectation SET received_at = now() - interval '61 s'"))
    assert check_expectations(own) == {}
    (partition,) = [item for item in read_progress(own, settings, OBSERVED.name) if item.unread]
    group = f"{consumer_group(settings, 'observables')}@{asyncio.run(cluster_id(settings))}"
    key = {"topic": topic_name(settings, OBSERVED.name), "partition": partition.partition}
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "INSERT INTO consumer_offset (consumer_group, topic, partition, last_offset) "
                "VALUES (:group, :topic, :partition, 0)"
            ),
            {"group": group, **key},
        )
    assert not any(item.unread for item in read_progress(own, settings, OBSERVED.name))
    let_time_pass(own, "1 minute")
    assert check_expectations(own) == {"incomplete": 1}


def test_without_kafka_nothing_is_called_missing(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = uuid4()
    finish(own, run, {0: 1}, seen=1)
    let_time_pass(own, "2 minutes")
    with monkeypatch.context() as patch:
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_ports(1)[0]}")
        load_settings.cache_clear()
        assert check_expectations(own) == {}
    load_settings.cache_clear()
    let_time_pass(own, "1 minute")
    assert check_expectations(own) == {"incomplete": 1}


def test_a_run_that_cannot_be_checked_holds_no_other_up(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = uuid4()
    good = uuid4()
    for run in (bad, good):
        finish(own, run, {0: 1}, seen=1)
        let_time_pass(own, "2 minutes")
    missing = expectations.missing_chunks

    def fail_once(*arguments: Any) -> dict[int, int]:
        monkeypatch.setattr(expectations, "missing_chunks", missing)
        raise ArithmeticError("a bug")

    monkeypatch.setattr(expectations, "missing_chunks", fail_once)
    assert check_expectations(own) == {"incomplete": 1}
    let_time_pass(own, "6 minutes")
    assert check_expectations(own)["incomplete"] == 2

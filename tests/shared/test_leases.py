"""Leased work: one holder at a time, takeover after the lease, and the fence against the lost."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from shared import shutdown
from shared.database import PLATFORM, Database, database
from shared.leases import LeasedTable, LeaseKeeper, LeaseLost, ShutdownRequested
from shared.settings import Settings

_TIME = sa.DateTime(timezone=True)
_METADATA = sa.MetaData()
JOB = sa.Table(
    "leased_job",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", _TIME, server_default=sa.func.now()),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
    sa.Column("error", pg.JSONB),
    sa.Column("finished_at", _TIME),
)
QUEUE = sa.Table(
    "leased_queue",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
)
SHORT = timedelta(milliseconds=200)
JOBS = LeasedTable(JOB, lease=timedelta(seconds=30))
SHORT_JOBS = LeasedTable(JOB, lease=SHORT)
QUEUES = LeasedTable(QUEUE, lease=SHORT)
ALICE = UUID(int=1)
BOB = UUID(int=2)


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    service = database("mitre")
    _METADATA.create_all(service.engine)
    with service.engine.begin() as connection:
        for table in (JOB, QUEUE):
            connection.execute(sa.text(f"TRUNCATE {table.name}"))
            connection.execute(sa.text(f"GRANT ALL ON {table.name} TO sentineliq_mitre"))
            connection.execute(sa.text(f"ALTER TABLE {table.name} SET SCHEMA mitre"))
    yield service
    with service.engine.begin() as connection:
        for table in (JOB, QUEUE):
            connection.execute(sa.text(f"DROP TABLE mitre.{table.name}"))


def add(own: Database, *ids: int) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.insert(JOB), [{"id": number} for number in ids])


def claim(own: Database, jobs: LeasedTable, holder: UUID, limit: int = 1) -> list[int]:
    with own.transaction(PLATFORM) as session:
        return [row.id for row in jobs.claim(session, holder, limit=limit)]


def check_until_lost(keeper: LeaseKeeper) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        keeper.check()
        time.sleep(0.01)


def row_of(own: Database, number: int) -> sa.Row[tuple[object, ...]]:
    with own.transaction(PLATFORM) as session:
        return session.execute(sa.select(JOB).where(JOB.c.id == number)).one()


def test_a_claimed_row_is_not_claimed_again(own: Database) -> None:
    add(own, 1, 2, 3)
    assert sorted(claim(own, JOBS, ALICE, limit=2)) == [1, 2]
    assert claim(own, JOBS, BOB, limit=9) == [3]
    assert claim(own, JOBS, ALICE, limit=9) == []


def test_claims_at_the_same_time_share_the_rows(own: Database) -> None:
    add(own, *range(200))
    claimed: list[int] = []

    def work() -> None:
        while ids := claim(own, JOBS, uuid4(), limit=7):
            claimed.extend(ids)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(200))


def test_a_row_of_a_lost_worker_is_claimed_over_and_the_lost_one_is_fenced(own: Database) -> None:
    add(own, 1)
    assert claim(own, SHORT_JOBS, ALICE) == [1]
    time.sleep(SHORT.total_seconds() * 1.5)
    assert claim(own, JOBS, BOB) == [1]
    for verb in (
        lambda session: SHORT_JOBS.complete(session, ALICE, 1, "succeeded"),
        lambda session: SHORT_JOBS.retry(session, ALICE, 1, seconds=0),
        lambda session: SHORT_JOBS.fail(session, ALICE, 1, {"code": "x"}),
        lambda session: SHORT_JOBS.release(session, ALICE, 1),
    ):
        with pytest.raises(LeaseLost), own.transaction(PLATFORM) as session:
            verb(session)
    with own.transaction(PLATFORM) as session:
        assert SHORT_JOBS.renew(session, ALICE) == set()
        assert JOBS.renew(session, BOB, [1]) == {1}
    assert (row_of(own, 1).holder, row_of(own, 1).attempts) == (BOB, 2)


def test_a_renewed_lease_is_not_claimed_over(own: Database) -> None:
    add(own, 1)
    assert claim(own, SHORT_JOBS, ALICE) == [1]
    with own.transaction(PLATFORM) as session:
        assert JOBS.renew(session, ALICE) == {1}
    time.sleep(SHORT.total_seconds() * 1.5)
    assert claim(own, JOBS, BOB) == []


def test_a_completed_row_is_over_for_everybody(own: Database) -> None:
    add(own, 1)
    claim(own, JOBS, ALICE)
    with own.transaction(PLATFORM) as session:
        JOBS.complete(session, ALICE, 1, "succeeded")
    row = row_of(own, 1)
    assert (row.state, row.holder, row.lease_until) == ("succeeded", None, None)
    assert row.finished_at is not None
    assert claim(own, JOBS, BOB) == []
    with pytest.raises(LeaseLost), own.transaction(PLATFORM) as session:
        JOBS.change(session, ALICE, 1, {"attempts": 9})


def test_a_retried_row_waits_with_its_reason(own: Database) -> None:
    add(own, 1, 2)
    claim(own, JOBS, ALICE, limit=2)
    with own.transaction(PLATFORM) as session:
        JOBS.retry(session, ALICE, 1, seconds=60, error={"code": "upstream"})
        JOBS.retry(session, ALICE, 2, seconds=0)
        assert JOBS.due(session) == [2]
    assert claim(own, JOBS, BOB, limit=9) == [2]
    row = row_of(own, 1)
    assert (row.state, row.error, row.attempts) == ("queued", {"code": "upstream"}, 1)


def test_a_failed_row_keeps_its_reason(own: Database) -> None:
    add(own, 1)
    claim(own, JOBS, ALICE)
    with own.transaction(PLATFORM) as session:
        JOBS.fail(session, ALICE, 1, {"code": "unreadable"})
    assert (row_of(own, 1).state, row_of(own, 1).error) == ("failed", {"code": "unreadable"})


def test_a_row_that_kills_its_workers_is_given_up(own: Database) -> None:
    add(own, 1, 2)
    for _ in range(2):
        assert claim(own, SHORT_JOBS, uuid4(), limit=1) == [1]
        time.sleep(SHORT.total_seconds() * 1.2)
        with own.transaction(PLATFORM) as session:  # the other one must not come in between
            session.execute(
                sa.update(JOB).where(JOB.c.id == 2).values(next_attempt_at=sa.func.now())
            )
    with own.transaction(PLATFORM) as session:
        assert [row.id for row in SHORT_JOBS.give_up(session, 2, {"code": "given-up"})] == [1]
    assert (row_of(own, 1).state, row_of(own, 1).error) == ("failed", {"code": "given-up"})
    assert row_of(own, 2).state == "queued"


def test_a_rolled_back_claim_leaves_the_row_free(own: Database) -> None:
    add(own, 1)

    def claim_and_die(session: Session) -> None:
        assert JOBS.claim(session, ALICE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), own.transaction(PLATFORM) as session:
        claim_and_die(session)
    assert claim(own, JOBS, BOB) == [1]


def test_a_queue_has_no_end_and_is_given_back(own: Database) -> None:
    key = ("acme", "shodan")
    with own.transaction(PLATFORM) as session:
        session.execute(sa.insert(QUEUE).values(tenant=key[0], name=key[1]))
        assert [(row.tenant, row.name) for row in QUEUES.claim(session, ALICE)] == [key]
        assert QUEUES.claim(session, BOB) == []
        assert QUEUES.renew(session, ALICE, [key]) == {key}
        QUEUES.release(session, ALICE, key)
        assert len(QUEUES.claim(session, BOB, where=QUEUE.c.name == "shodan")) == 1
    time.sleep(SHORT.total_seconds() * 1.2)
    with own.transaction(PLATFORM) as session:
        assert len(QUEUES.claim(session, ALICE)) == 1
        with pytest.raises(LeaseLost):
            QUEUES.release(session, BOB, key)


def test_a_keeper_renews_until_the_row_is_lost(own: Database) -> None:
    add(own, 1)
    claim(own, SHORT_JOBS, ALICE)
    keeper = LeaseKeeper(
        own, PLATFORM, lambda session: bool(SHORT_JOBS.renew(session, ALICE, [1])), 0.05
    )
    with keeper:
        time.sleep(SHORT.total_seconds() * 2)
        assert claim(own, JOBS, BOB) == []
        keeper.check()
        with own.transaction(PLATFORM) as session:
            session.execute(sa.update(JOB).values(holder=BOB))
        with pytest.raises(LeaseLost):
            check_until_lost(keeper)


def test_a_row_that_is_handed_back_waits_as_if_it_had_not_been_claimed(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.insert(JOB).values(id=1))
    for _ in range(10):
        with own.transaction(PLATFORM) as session:
            (row,) = JOBS.claim(session, ALICE)
            assert row.attempts == 1
        with own.transaction(PLATFORM) as session:
            JOBS.hand_back(session, ALICE, 1)
    with own.transaction(PLATFORM) as session, pytest.raises(LeaseLost):
        JOBS.hand_back(session, ALICE, 1)


def test_a_keeper_tells_its_work_that_the_worker_stops(own: Database) -> None:
    shutdown.share()
    keeper = LeaseKeeper(own, PLATFORM, lambda _: True, 60)
    with keeper:
        keeper.check()
        shutdown.request()
        with pytest.raises(ShutdownRequested):
            keeper.check()
    shutdown.share()


def test_a_child_process_sees_that_its_parent_was_asked_to_stop() -> None:
    shutdown.share()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        while not shutdown.is_requested():
            time.sleep(0.01)
        os.write(writer, b"stops")
        os._exit(0)
    assert not shutdown.is_requested()
    shutdown.request()
    assert os.read(reader, 5) == b"stops"
    os.waitpid(child, 0)
    shutdown.share()

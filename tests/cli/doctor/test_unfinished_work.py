"""The doctor tells of runs that are not applied, and of rows that upkeep could not work on."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from sentineliq.cli.doctor.check import Check
from sentineliq.cli.doctor.database_checks import DatabaseChecks
from shared.database import Database, database
from shared.settings import ServiceName, Settings

Look = Callable[[ServiceName], list[Check]]


@pytest.fixture
def look(environment: Settings) -> Iterator[Look]:
    with DatabaseChecks(environment) as checks:
        assert checks.connect().is_usable
        yield checks.unfinished_work


def execute(own: Database, statement: str, **values: object) -> None:
    with own.transaction("acme") as session:
        session.execute(sa.text(statement), values)


def test_a_feed_whose_last_run_is_unconfirmed_is_told(
    look: Look, client_for: Callable[..., TestClient]
) -> None:
    feed = client_for("feeds").post("/v1/feeds", json={"name": "lists"}).json()
    own = database("feeds")

    def insert(state: str, minutes: int) -> None:
        execute(
            own,
            "INSERT INTO run (id, tenant, feed_id, state, input, requested_by, observed_at, "
            "queued_at, finished_at) VALUES (:id, 'acme', :feed, :state, 'fetch', 'kim', now(), "
            "now() - make_interval(mins => :minutes), now())",
            id=uuid4(),
            feed=UUID(feed["id"]),
            state=state,
            minutes=minutes,
        )

    assert look("feeds") == []
    insert("unconfirmed", 30)
    (check,) = look("feeds")
    assert (check.subject, check.status) == ("feeds runs", "look")
    assert "of 1 feeds is unconfirmed, that of lists since" in check.seen
    insert("succeeded", 20)
    insert("unchanged", 10)
    assert look("feeds") == []


def test_runs_that_did_not_arrive_are_told_until_a_full_statement_repairs_them(
    look: Look,
) -> None:
    own = database("observables")
    source = uuid4()

    def insert(state: str, minutes: int, *, is_full: bool) -> None:
        execute(
            own,
            "INSERT INTO run_expectation (tenant, run_id, source_id, chunks, is_full, news, state, "
            "check_at, received_at) VALUES ('acme', :run, :source, '{\"0\": 1}', :is_full, 1, "
            ":state, now(), now() - make_interval(mins => :minutes))",
            run=uuid4(),
            source=source,
            is_full=is_full,
            state=state,
            minutes=minutes,
        )

    insert("applied", 60, is_full=True)
    insert("waiting", 50, is_full=False)
    assert look("observables") == []
    insert("incomplete", 40, is_full=False)
    insert("applied", 30, is_full=False)
    (check,) = look("observables")
    assert (check.subject, check.status) == ("observables runs", "look")
    assert "chunks of 1 runs did not arrive" in check.seen
    insert("applied", 20, is_full=True)
    assert look("observables") == []


def test_rows_that_were_set_aside_are_told_with_the_last_reason(look: Look) -> None:
    own = database("observables")
    statement = (
        "INSERT INTO failed_row (tenant, observable_id, work, reason, failed_at) "
        "VALUES ('acme', :id, :work, :reason, now() - make_interval(hours => :hours))"
    )
    for work, hours in (("score", 1), ("context", 2), ("score", 24 * 30)):
        execute(
            own, statement, id=uuid4(), work=work, reason=f"a bug of {hours} hours", hours=hours
        )
    (check,) = look("observables")
    assert (check.subject, check.status) == ("observables rows", "look")
    assert "2 set aside in 7 days (context, score); the last: a bug of 1 hours" in check.seen

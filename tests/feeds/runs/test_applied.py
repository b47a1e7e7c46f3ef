"""A run has succeeded when what it published is applied."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.feeds.runs import accounts
from services.feeds.runs.handlers import handle_applied
from shared.database import Database
from shared.events import Event
from shared.events.observables import APPLIED, RunApplied
from tests.feeds.conftest import Desk
from tests.feeds.runs.lists import (
    change,
    listed,
    names,
)


def test_a_run_has_succeeded_when_it_is_applied(desk: Desk, base: dict[str, Any]) -> None:
    run = desk.upload(listed(*range(10, 30)))
    desk.work(run)
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert (state["state"], state["published"], state["applied"]) == ("applying", 20, None)
    desk.answer(run, received=20)
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert (state["state"], state["applied"], state["difference"]) == ("succeeded", 20, 0)
    assert state["applied_at"] is not None


def test_an_applying_run_lets_the_next_one_begin(desk: Desk, base: dict[str, Any]) -> None:
    desk.work(desk.upload(listed(*range(10, 30))))
    assert desk.work(desk.upload(listed(*range(10, 31))))["status"] == "succeeded"


def test_what_did_not_arrive_is_said_again_once(desk: Desk, base: dict[str, Any]) -> None:
    run = desk.upload(listed(*range(10, 30)))
    desk.work(run)
    for _ in range(2):
        desk.answer(run, state="incomplete", received=15, missing={3: 1, 4: 1})
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert (state["state"], state["difference"]) == ("unconfirmed", 5)
    assert state["error"]["code"] == "incomplete"
    waiting = [
        run for run in desk.client.get("/v1/runs").json()["items"] if run["state"] == "queued"
    ]
    assert len(waiting) == 1
    again = desk.done(waiting[0])
    assert (again["state"], again["published"]) == ("succeeded", 20)
    assert "2 of the run's chunks" in again["full_reason"]
    assert desk.published_values(waiting[0]) == (names(*range(10, 30)), set())
    # The others came after all.
    desk.answer(run)
    assert desk.client.get(f"/v1/runs/{run['id']}").json()["state"] == "succeeded"


def test_nobody_waits_for_ever_for_an_older_observables_service(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    run = desk.upload(listed(*range(10, 30)))
    desk.work(run)
    assert accounts.mark_unconfirmed(own) == 0
    change(own, "UPDATE run SET finished_at = finished_at - interval '6 minutes'")
    assert accounts.mark_unconfirmed(own) == 1
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert (state["state"], state["error"]["code"]) == ("unconfirmed", "unconfirmed")
    desk.answer(run)
    assert desk.client.get(f"/v1/runs/{run['id']}").json()["state"] == "succeeded"


def test_a_run_that_was_lost_with_the_log_is_noticed_when_a_later_one_arrives(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    lost = desk.upload(listed(*range(10, 30)))
    desk.work(lost)
    change(own, "UPDATE run SET finished_at = finished_at - interval '6 minutes'")
    accounts.mark_unconfirmed(own)
    assert desk.done(desk.upload(listed(*range(10, 31))))["state"] == "succeeded"
    feed = desk.client.get(f"/v1/feeds/{lost['feed_id']}").json()
    assert "never arrived" in feed["needs_full_statement"]


def test_a_run_that_this_database_does_not_know_is_a_reason_to_say_everything(
    desk: Desk, base: dict[str, Any]
) -> None:
    """The database was put back to a time before that run; what is asserted is not known here."""
    desk.answer(base)
    feed = desk.client.get(f"/v1/feeds/{base['feed_id']}").json()
    assert feed["needs_full_statement"] is None
    change(desk.own, "DELETE FROM run")
    unknown = desk.upload(listed(*range(20)))
    change(desk.own, "DELETE FROM run")
    with pytest.MonkeyPatch.context() as patch:
        answers: Callable[..., Any] = lambda *_: _Answer(base)  # noqa: E731
        patch.setattr(desk.client, "get", answers)
        desk.answer(unknown)
    feed = desk.client.get(f"/v1/feeds/{base['feed_id']}").json()
    assert "not known" in feed["needs_full_statement"]


def test_a_full_statement_answers_all_accounts_of_unknown_runs_before_it(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    """A log that is read again brings many; each of them was a full statement of its own."""

    def account(minutes: float, run: UUID | None = None, feed: UUID | None = None) -> None:
        applied = RunApplied(feed or UUID(base["feed_id"]), run or uuid4(), "applied")
        time = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        event = Event(APPLIED, applied, "acme", "/services/observables", time=time)
        with own.transaction("acme") as session:
            handle_applied(session, [event])

    account(-30)
    account(-20)
    (statement,) = queued(desk)
    assert desk.done(statement)["state"] == "succeeded"
    account(-30)
    account(-10)
    assert queued(desk) == []
    account(0)
    (later,) = queued(desk)
    assert "not known" in desk.done(later)["full_reason"]
    # A run of another feed says nothing of this one.
    other = desk.done(desk.upload(listed(1), name="other"))
    account(5, UUID(base["id"]), UUID(other["feed_id"]))
    assert queued(desk) == []


def test_an_account_while_a_statement_is_under_way_is_kept_for_its_failure(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    statement = desk.client.post(f"/v1/feeds/{base['feed_id']}/resync").json()
    change(own, "UPDATE feed SET needs_full_statement = NULL")
    applied = RunApplied(UUID(base["feed_id"]), uuid4(), "applied")
    time = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    with own.transaction("acme") as session:
        handle_applied(session, [Event(APPLIED, applied, "acme", "/test", time=time)])
    assert [run["id"] for run in queued(desk)] == [statement["id"]]
    feed = desk.client.get(f"/v1/feeds/{base['feed_id']}").json()
    assert "not known" in feed["needs_full_statement"]
    desk.done(statement)
    feed = desk.client.get(f"/v1/feeds/{base['feed_id']}").json()
    assert feed["needs_full_statement"] is None


def queued(desk: Desk) -> list[dict[str, Any]]:
    runs = desk.client.get("/v1/runs").json()["items"]
    return [run for run in runs if run["state"] == "queued"]


class _Answer:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def json(self) -> dict[str, Any]:
        return self._document

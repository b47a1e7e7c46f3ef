"""Runs of one feed take turns, in the order they were queued; none speaks before another."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.feeds.runs import service
from services.feeds.runs.execution import MAX_DEATHS, execute
from services.feeds.runs.leased_run import LeasedRun
from services.feeds.runs.models import QueuedRun
from shared.database import Database
from shared.errors import Unavailable
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import change, column, listed, names, work_until_killed


def moment(own: Database, run: dict[str, Any]) -> datetime:
    speaks_for: datetime = column(own, "SELECT observed_at FROM run WHERE id = :id", id=run["id"])
    return speaks_for


def test_a_run_waits_for_the_one_before_it(desk: Desk, base: dict[str, Any]) -> None:
    """A and B load v0; A says that x is gone, B lists x: B has to compare with A's version."""
    first = desk.upload(listed(*range(19)))
    second = desk.upload(listed(*range(20)))
    assert desk.work(second)["status"] == "skipped"
    assert desk.done(first)["state"] == "succeeded"
    assert desk.done(second)["state"] == "succeeded"
    assert desk.published_values(first) == (set(), names(19))
    assert desk.published_values(second) == (names(19), set())


def test_a_run_does_not_begin_while_another_is_at_work(
    desk: Desk, own: Database, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ends during B's work and removes the version that B has loaded: B is not at work."""
    first = desk.upload(listed(*range(19)))
    second = desk.upload(listed(*range(1, 20)))
    statuses = []
    finish = LeasedRun.finish

    def finish_after_other(run: LeasedRun, *args: Any, **values: Any) -> Any:
        outcome = execute(own, desk.settings, "acme", UUID(second["id"]))
        statuses.append(outcome.as_dict()["status"])
        return finish(run, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", finish_after_other)
        desk.work(first)
    assert statuses == ["skipped"]
    assert desk.done(second)["state"] == "succeeded"
    assert desk.published_values(second) == (names(19), names(0))


def test_the_database_allows_a_feed_a_single_running_run(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    desk.upload(listed(1))
    desk.upload(listed(2))
    with pytest.raises(sa.exc.IntegrityError):
        change(own, "UPDATE run SET state = 'running' WHERE state = 'queued'")


def test_an_older_run_goes_before_a_newer_one_also_when_it_has_to_be_repeated(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    older = desk.upload(listed(*range(19)))
    newer = desk.upload(listed(*range(20)))
    work_until_killed(desk, older, "begin_publishing")
    assert desk.work(newer)["status"] == "skipped"
    desk.work(older)
    desk.work(newer)
    assert moment(own, older) < moment(own, newer)
    assert desk.published_values(newer) == (names(19), set())


def test_a_moment_is_later_than_the_one_before_whatever_the_clock_says(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    ahead = "UPDATE feed SET observed_at = now() + interval '5 minutes' RETURNING observed_at"
    last = column(own, ahead)
    run = desk.upload(listed(*range(1, 21)))
    assert desk.done(run)["state"] == "succeeded"
    assert moment(own, run) == last + timedelta(microseconds=1)
    chunks = desk.published(run)
    assert {datetime.fromisoformat(chunk.observed_at) for chunk in chunks} == {moment(own, run)}


def test_the_moment_is_that_of_the_first_attempt(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    run = desk.upload(listed(*range(19)))
    queued_at = moment(own, run)
    work_until_killed(desk, run)
    first = moment(own, run)
    desk.work(run)
    assert queued_at < first == moment(own, run)


def test_a_run_given_up_after_it_published_makes_the_next_one_say_everything(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    """Run published, then given up: the next difference would be silent about it."""
    run = desk.upload(listed(*range(10, 30)))
    work_until_killed(desk, run)
    change(own, "UPDATE run SET deaths = :deaths WHERE state = 'running'", deaths=MAX_DEATHS)
    assert desk.done(run)["error"]["code"] == "unworkable"
    feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    assert "given up" in feed["needs_full_statement"]
    following = desk.upload(listed(*range(20)))
    done = desk.done(following)
    assert (done["state"], done["full_reason"]) == ("succeeded", feed["needs_full_statement"])
    assert desk.published_values(following) == (names(*range(20)), set())
    feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    assert feed["needs_full_statement"] is None


def test_a_run_given_up_before_it_published_leaves_nothing_to_repair(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    run = desk.upload(listed(*range(10, 30)))
    work_until_killed(desk, run, "begin_publishing")
    change(own, "UPDATE run SET deaths = :deaths WHERE state = 'running'", deaths=MAX_DEATHS)
    assert desk.done(run)["error"]["code"] == "unworkable"
    feed = desk.client.get(f"/v1/feeds/{run['feed_id']}").json()
    assert feed["needs_full_statement"] is None


def test_a_feed_that_was_changed_meanwhile_is_not_moved(
    desk: Desk, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version moves by compare-and-swap; what was accepted is read again, in full."""
    run = desk.upload(listed(*range(10, 30)))
    finish = LeasedRun.finish

    def finish_after_change(leased: LeasedRun, *args: Any, **values: Any) -> Any:
        patch = {"confidence": 20}
        answer = desk.client.patch(f"/v1/feeds/{run['feed_id']}", json=patch)
        assert answer.status_code == 200
        return finish(leased, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", finish_after_change)
        assert desk.work(run)["status"] == "failed"
    newest, superseded = desk.client.get("/v1/runs", params={"limit": 2}).json()["items"]
    assert (superseded["id"], superseded["error"]["code"]) == (run["id"], "superseded")
    assert (newest["state"], newest["payload"]) == ("queued", superseded["payload"])
    done = desk.done(newest)
    assert done["state"] == "succeeded"
    assert done["full_reason"] is not None
    chunks = desk.published(newest)
    assert {chunk.confidence for chunk in chunks} == {20}
    assert desk.published_values(newest)[0] == names(*range(10, 30))


def test_a_patched_address_is_fetched_from_its_beginning(
    desk: Desk, provider: tuple[str, type[Provider]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fetched the old address does not leave its ETag behind for the new one."""
    url, handler = provider
    handler.body = listed(1, 2)
    feed = desk.feed(url=url, format="text")
    run = desk.fetch(feed)
    finish = LeasedRun.finish

    def finish_after_change(leased: LeasedRun, *args: Any, **values: Any) -> Any:
        desk.client.patch(f"/v1/feeds/{feed['id']}", json={"url": f"{url}?new"})
        return finish(leased, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", finish_after_change)
        desk.work(run)
    handler.body = listed(3)
    again = desk.fetch(feed)
    assert desk.done(again)["state"] == "succeeded"
    assert desk.published_values(again)[0] == names(3)


def test_a_fetch_that_waits_is_not_queued_twice(
    desk: Desk, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.body = listed(1)
    feed = desk.feed(url=url, format="text")
    first = desk.fetch(feed)
    assert desk.fetch(feed)["id"] == first["id"]
    assert desk.done(first)["state"] == "succeeded"
    assert desk.fetch(feed)["id"] != first["id"]


def test_a_wish_makes_a_fetch_due_that_waits_for_another_attempt(
    desk: Desk, provider: tuple[str, type[Provider]]
) -> None:
    url, handler = provider
    handler.status = 503
    feed = desk.feed(url=url, format="text")
    run = desk.fetch(feed)
    assert desk.work(run)["status"] == "waiting"
    assert desk.work(run)["status"] == "skipped"
    assert desk.fetch(feed)["id"] == run["id"]
    assert desk.work(run)["status"] == "waiting"


def test_a_hint_is_sent_for_the_next_run_only(
    desk: Desk, own: Database, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [desk.upload(listed(*range(number, 20))) for number in (1, 2, 3)]
    sent: list[str] = []

    def record(run: QueuedRun, _actor: str) -> bool:
        sent.append(str(run.id))
        return True

    monkeypatch.setattr(service, "enqueue_run", record)
    change(own, "UPDATE run SET next_attempt_at = now() WHERE state = 'queued'")
    desk.work(runs[0])
    assert service.enqueue_next(own, "acme", UUID(runs[0]["id"]))
    assert sent == [runs[1]["id"]]


def test_the_payload_of_a_reparse_is_the_one_the_feed_is_at_by_then(
    desk: Desk, base: dict[str, Any]
) -> None:
    upload = desk.upload(listed(*range(1, 21)))
    changes = {"options": {"type": "ipv4-addr"}, "apply": True}
    run = desk.client.post(f"/v1/feeds/{base['feed_id']}/reparse", json=changes).json()["run"]
    desk.work(upload)
    done = desk.done(run)
    assert done["payload"] == desk.client.get(f"/v1/runs/{upload['id']}").json()["payload"]


def test_a_queue_that_does_not_answer_delays_the_next_run_only(
    desk: Desk, own: Database, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.upload(listed(*range(1, 20)))
    second = desk.upload(listed(*range(2, 20)))
    assert desk.work(second)["status"] == "skipped"
    desk.work(first)

    def refuse(*_: object, **__: object) -> str:
        raise Unavailable("no broker")

    with monkeypatch.context() as patch:
        patch.setattr(service, "send_hint", refuse)
        assert not service.enqueue_next(own, "acme", UUID(first["id"]))
    assert service.reconcile(own) == 1
    assert desk.work(second)["status"] == "succeeded"


def test_a_run_that_is_repeated_goes_before_those_that_were_queued_after_it(
    desk: Desk, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A is superseded by a change of the settings while B waits: B's list is the last one."""
    first = desk.upload(listed(*range(10, 30)))
    second = desk.upload(listed(*range(20)))
    finish = LeasedRun.finish

    def finish_after_change(leased: LeasedRun, *args: Any, **values: Any) -> Any:
        answer = desk.client.patch(f"/v1/feeds/{first['feed_id']}", json={"confidence": 20})
        assert answer.status_code == 200
        return finish(leased, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(LeasedRun, "finish", finish_after_change)
        assert desk.work(first)["status"] == "failed"
    runs = desk.client.get("/v1/runs", params={"limit": 10}).json()["items"]
    (repetition,) = [run for run in runs if run["state"] == "queued" and run["id"] != second["id"]]
    assert desk.work(second)["status"] == "skipped"
    assert desk.done(repetition)["state"] == "succeeded"
    assert desk.done(second)["state"] == "succeeded"
    assert desk.published_values(second) == (names(*range(10)), names(*range(20, 30)))

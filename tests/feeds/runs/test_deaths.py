"""A worker that dies over a run again and again ends it; one that is restarted does not."""

from typing import Any

import pytest

from services.feeds.runs.execution import MAX_DEATHS, release_leases
from services.feeds.runs.leased_run import LeasedRun
from shared.database import Database
from tests.feeds.conftest import Desk
from tests.feeds.runs.lists import (
    Killed,
    change,
    column,
    kill_worker,
    listed,
    work_until_killed,
)


def test_five_restarts_are_no_deaths(desk: Desk, own: Database, base: dict[str, Any]) -> None:
    run = desk.upload(listed(*range(10, 30)))
    for _ in range(MAX_DEATHS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LeasedRun, "finish", kill_worker)
            patch.setattr("os.getppid", lambda: 77)
            with pytest.raises(Killed):
                desk.work(run)
            patch.setattr("os.getpid", lambda: 77)
            release_leases(own)
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert (state["state"], state["attempts"]) == ("queued", 0)
    assert column(own, "SELECT deaths FROM run WHERE id = :id", id=run["id"]) == 0
    assert desk.done(run)["state"] == "succeeded"


def test_a_worker_hands_back_its_own_runs_only(
    desk: Desk, own: Database, base: dict[str, Any]
) -> None:
    run = desk.upload(listed(*range(10, 30)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeasedRun, "finish", kill_worker)
        patch.setattr("os.getppid", lambda: 77)
        with pytest.raises(Killed):
            desk.work(run)
        patch.setattr("os.getpid", lambda: 78)
        release_leases(own)
    assert desk.client.get(f"/v1/runs/{run['id']}").json()["state"] == "running"


def test_only_kills_without_progress_count(desk: Desk, own: Database, base: dict[str, Any]) -> None:
    run = desk.upload(listed(*range(10, 30)))
    for _ in range(3):
        work_until_killed(desk, run, "begin_publishing")
    assert column(own, "SELECT deaths FROM run WHERE id = :id", id=run["id"]) == 2

    def renew_and_die(leased: LeasedRun, *_: object, **__: object) -> None:
        with own.transaction("acme") as session:
            assert leased._renew(session)
        raise Killed

    for deaths in (0, 1):  # the second attempt does not come further than the first
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LeasedRun, "finish", renew_and_die)
            with pytest.raises(Killed):
                desk.work(run)
        assert column(own, "SELECT deaths FROM run WHERE id = :id", id=run["id"]) == deaths
        change(own, "UPDATE run SET lease_until = now() - interval '1s' WHERE state = 'running'")


def test_a_full_disk_is_no_death(
    desk: Desk, own: Database, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.upload(listed(*range(10, 30)))

    def fill_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("services.feeds.snapshots.store.sync_folder", fill_disk)
        for _ in range(MAX_DEATHS + 1):
            assert desk.work(run)["status"] == "waiting"
            change(own, "UPDATE run SET next_attempt_at = now() WHERE state = 'queued'")
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert "disk" in state["error"]["message"]
    assert desk.done(run)["state"] == "succeeded"

"""Tenants take turns: at providers, and at the processes of a worker."""

import os
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.feeds.catalog.service import address_interval, list_entries
from services.feeds.runs import execution
from services.feeds.runs.execution import execute_next
from services.feeds.runs.models import Visit
from services.feeds.runs.repository import claims, turns
from shared.database import PLATFORM, Database
from shared.settings import Settings
from tests.feeds.conftest import Desk, Provider
from tests.feeds.runs.lists import change, column, listed

HOST = "lists.example"
DAY = 86_400


def visit(tenant: str, own_seconds: float = 1, url: str = "", address_seconds: float = 0) -> Visit:
    return Visit(tenant, HOST, url or f"http://{HOST}/{tenant}", address_seconds, own_seconds)


def take(own: Database, next_visit: Visit) -> float:
    with own.transaction(PLATFORM) as session:
        return turns.take_turn(session, next_visit)


def let_pass(own: Database, seconds: float) -> None:
    """Let time pass for everybody who waits."""
    for table, names in (
        ("provider", ("next_visit_at",)),
        ("provider_turn", ("next_visit_at", "visited_at", "waits_until")),
    ):
        moves = ", ".join(f"{name} = {name} - make_interval(secs => :seconds)" for name in names)
        change(own, f"UPDATE {table} SET {moves}", seconds=seconds)


def test_a_tenant_is_slow_for_itself_alone(own: Database) -> None:
    """A `min_interval` of a day postponed everybody's feeds of the host by a day."""
    assert take(own, visit("evil", DAY)) == 0
    let_pass(own, 1.5)
    assert take(own, visit("acme")) == 0
    let_pass(own, 1.5)
    assert take(own, visit("public")) == 0
    assert take(own, visit("evil", DAY)) > DAY - 60


def test_a_feed_of_a_slow_tenant_delays_nobody(
    desk: Desk, provider: tuple[str, type[Provider]], client_for: Callable[..., TestClient]
) -> None:
    url, handler = provider
    handler.body = listed(1, 2, 3)
    hostile = client_for("feeds", tenant="evil")
    slow = {"name": "slow", "url": url, "min_interval": DAY}
    created = hostile.post("/v1/feeds", json=slow).json()
    hostile.post(f"/v1/feeds/{created['id']}/runs").raise_for_status()
    feed = desk.feed(url=url)
    run = desk.fetch(feed)
    change(desk.own, "UPDATE run SET queued_at = queued_at - interval '1 h' WHERE tenant = 'evil'")
    statuses = []
    for _ in range(2):
        outcome = execute_next(desk.own, desk.settings)
        assert outcome is not None
        statuses.append(outcome.as_dict()["status"])
        let_pass(desk.own, 2)
    assert "postponed" not in statuses
    state = desk.client.get(f"/v1/runs/{run['id']}").json()
    assert state["state"] == "applying", state


def test_a_host_s_own_wish_counts_for_everybody(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        turns.postpone_visits(session, HOST, 600)
    assert 590 < take(own, visit("acme")) <= 600
    assert 590 < take(own, visit("beta")) <= 600


def test_what_a_host_answers_to_an_account_is_about_that_account(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        turns.postpone_tenant(session, HOST, "evil", 600)
    assert take(own, visit("evil")) > 590
    assert take(own, visit("acme")) == 0


def test_an_address_of_the_catalog_is_fetched_as_often_as_the_catalog_says(own: Database) -> None:
    entry = max(list_entries(), key=lambda entry: entry.min_interval)
    seconds = address_interval(entry.url)
    assert seconds == entry.min_interval > 1
    assert address_interval("http://nowhere.example/") == 0
    assert take(own, visit("acme", 1, entry.url, seconds)) == 0
    let_pass(own, 2)
    assert take(own, visit("beta", 1, entry.url, seconds)) > seconds - 60
    assert take(own, visit("beta", 1, f"{entry.url}?other", 0)) == 0, "another address is free"


def test_tenants_that_wait_for_a_host_take_turns(own: Database) -> None:
    """However many feeds of a host a tenant has: who waits for the longest time goes first."""
    assert take(own, visit("evil")) == 0
    assert take(own, visit("acme")) > 0
    let_pass(own, 1.5)
    assert take(own, visit("evil")) > 0, "acme waits, and was never there"
    assert take(own, visit("acme")) == 0
    let_pass(own, 1.5)
    assert take(own, visit("evil")) == 0


def test_who_does_not_come_back_is_waited_for_a_while_only(own: Database) -> None:
    assert take(own, visit("evil")) == 0
    assert take(own, visit("acme")) > 0
    let_pass(own, 60)
    assert take(own, visit("evil")) == 0


def queue_runs(desk: Desk, client: TestClient, count: int) -> list[dict[str, Any]]:
    runs = []
    for number in range(count):
        name = {"name": f"list-{number}"}
        answer = client.post("/v1/ingest", params=name, content=listed(number + 1))
        assert answer.status_code == 202, answer.text
        runs.append(answer.json())
    return runs


def test_a_run_does_not_wait_behind_another_tenant_s_backlog(
    desk: Desk, client_for: Callable[..., TestClient]
) -> None:
    """The queue was one line: each message named its run."""
    queue_runs(desk, client_for("feeds", tenant="evil"), 10)
    run = desk.upload(listed(77))
    worked = []
    for _ in range(2):
        outcome = execute_next(desk.own, desk.settings)
        assert outcome is not None
        worked.append(str(outcome.run_id))
    assert run["id"] in worked


def occupy(own: Database, run: dict[str, Any]) -> None:
    """Let another process of this worker be at work on a run."""
    worker = execution._worker_name(os.getppid())
    change(
        own,
        "UPDATE run SET state = 'running', worker = :worker, holder = :holder, "
        "lease_until = now() + interval '1 min' WHERE id = :id",
        worker=worker,
        holder=uuid4(),
        id=UUID(run["id"]),
    )


def test_a_tenant_leaves_a_process_of_the_worker_to_the_others(
    desk: Desk, settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    hostile = queue_runs(desk, client_for("feeds", tenant="evil"), 4)
    own_run = desk.upload(listed(77))
    occupy(desk.own, hostile[0])
    occupy(desk.own, hostile[1])
    outcome = execute_next(desk.own, settings)
    assert outcome is not None
    assert str(outcome.run_id) == own_run["id"]
    assert execute_next(desk.own, settings) is None, "the last process is for others"


def test_a_tenant_alone_has_all_processes(desk: Desk, settings: Settings) -> None:
    runs = queue_runs(desk, desk.client, 3)
    occupy(desk.own, runs[0])
    occupy(desk.own, runs[1])
    outcome = execute_next(desk.own, settings)
    assert outcome is not None
    assert str(outcome.run_id) == runs[2]["id"]


def test_tenants_with_work_are_found_by_the_index(
    desk: Desk, client_for: Callable[..., TestClient]
) -> None:
    queue_runs(desk, client_for("feeds", tenant="evil"), 3)
    queue_runs(desk, desk.client, 1)
    with desk.own.transaction(PLATFORM) as session:
        assert claims.waiting_tenants(session) == ["acme", "evil"]
        session.execute(sa.text("UPDATE run SET next_attempt_at = now() + interval '1 h'"))
        assert claims.waiting_tenants(session) == []
    assert column(desk.own, "SELECT count(*) FROM run WHERE tenant = 'evil'") == 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_a_pause_gets_it_from_all(
    desk: Desk, provider: tuple[str, type[Provider]], status: int
) -> None:
    url, handler = provider
    handler.status = status
    handler.extra = {"Retry-After": "120"}
    run = desk.fetch(desk.feed(url=url, name=f"busy-{status}"))
    assert desk.work(run)["status"] == "waiting"
    seconds = column(
        desk.own, "SELECT extract(epoch FROM max(next_visit_at) - now()) FROM provider"
    )
    assert 100 < float(seconds) <= 120

"""Events and sweeps while a list is filled: none waits, none is lost, wherever they come."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from services.observables.dissemination.membership.fill import fill_list, fill_lists
from services.observables.dissemination.membership.repository import fills
from services.observables.dissemination.membership.upkeep import check_entries
from services.observables.store.repository import read
from shared.clock import database_now
from shared.database import PLATFORM
from shared.errors import Unavailable
from tests.observables.conftest import OTHER, after
from tests.observables.dissemination.conftest import Lists, address

_FILTER = "observable.sources >= 2"
_NUMBERS = 12


def brute_force(lists: Lists) -> list[str]:
    """What a list of everything with two sources has, by the stored states alone."""
    with lists.own.transaction(PLATFORM) as session:
        ids = [str(row[0]) for row in session.execute(sa.text("SELECT id FROM observable"))]
        now = database_now(session)
        states = read.read_states(session, lists.tenant, ids)
    return sorted(
        state.value
        for state in states.values()
        if len(state.active(now)) >= 2 and state.evaluate(now).score >= 20
    )


class Meddler:
    """Lets changes come between the statements of a fill, each from another connection."""

    def __init__(self, lists: Lists, seed: int) -> None:
        self.lists = lists
        self.choice = random.Random(seed)  # noqa: S311  # no secret
        self.moment = 2
        self.statements = 0
        self.threads = ThreadPoolExecutor(1)
        self.waiting: list[Future[None]] = []
        self.thread = ""

    def change(self, number: int, *, is_gone: bool, is_swept: bool) -> None:
        self.moment += 1
        at = after(self.moment)
        if is_gone:
            self.lists.see(gone=[address(number)], feed=OTHER, at=at)
        else:
            self.lists.see(address(number), feed=OTHER, at=at)
        if is_swept:
            check_entries(self.lists.own)

    def step(self) -> None:
        self.statements += 1
        if self.waiting and not self.waiting[-1].done():
            return  # The transaction that it waits for goes on without a pause.
        work = self.threads.submit(
            self.change,
            self.choice.randrange(_NUMBERS),
            is_gone=self.choice.random() < 0.5,
            is_swept=self.choice.random() < 0.2,
        )
        try:
            work.result(0.5)
        except TimeoutError:
            # It waits for a short transaction of the fill, which goes on now.
            self.waiting.append(work)

    @contextmanager
    def between(self, sessions: Any) -> Iterator[None]:
        """Act before each statement of the connections that this thread opens."""
        own = threading.get_ident()

        def act(*_: object) -> None:
            if threading.get_ident() == own:
                self.step()

        event.listen(sessions, "before_cursor_execute", act)
        try:
            yield
        finally:
            event.remove(sessions, "before_cursor_execute", act)
            for work in self.waiting:
                work.result(30)
            self.threads.shutdown()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("capacity", [None, 4], ids=["unbounded", "capped"])
def test_changes_between_all_statements_of_a_fill_are_in_the_list(
    lists: Lists, seed: int, capacity: int | None
) -> None:
    view = lists.create("observable.score >= 99", max_shrink=None, max_growth=None)
    addresses = [address(number) for number in range(_NUMBERS)]
    lists.see(*addresses)
    lists.see(*addresses[: _NUMBERS // 2], feed=OTHER, at=after(1))
    edit = {"filter": _FILTER, "capacity": capacity}
    assert lists.client.patch(f"/v1/lists/{view['id']}", json=edit).status_code == 200
    meddler = Meddler(lists, seed)
    with meddler.between(lists.own.engine):
        assert fill_lists(lists.own) == 1
    fill_lists(lists.own)
    assert meddler.statements > 20
    expected = brute_force(lists)
    members = lists.values(view["id"])
    if capacity is None:
        assert members == expected
    else:
        assert set(members) <= set(expected)
        assert len(members) == min(capacity, len(expected))
    check_numbers(lists, view["id"], len(members))
    assert not lists.rows("SELECT FROM list_fill WHERE list_id = :list", view["id"])
    assert not lists.rows("SELECT FROM list_fill_change WHERE list_id = :list", view["id"])


def check_numbers(lists: Lists, list_id: str, members: int) -> None:
    rows = lists.rows(
        "SELECT number, kind FROM list_change WHERE list_id = :list ORDER BY number", list_id
    )
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    kinds = [row[1] for row in rows]
    shown = lists.view(list_id)
    assert kinds.count("in") - kinds.count("out") == shown["members"] == members
    assert shown["published_version"] == shown["version"] == len(rows)


@pytest.mark.parametrize("place", ["stage", "apply_stage"])
def test_a_fill_keeps_nobody_waiting(
    lists: Lists, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    small = lists.create(name="small", max_shrink=None)
    big = lists.create(name="big", max_shrink=None, max_growth=None)
    lists.see(address(1), address(2))
    path = f"/v1/lists/{big['id']}"
    lists.client.patch(path, json={"filter": "observable.score >= 21"})
    act = getattr(fills, place)
    seen: list[list[str]] = []

    def meddle(session: Session, *arguments: Any) -> Any:
        result = act(session, *arguments)
        if not seen:
            # While the fill stands here, with all its locks.
            lists.see(address(7))
            with lists.own.transaction(PLATFORM) as other:
                due = "UPDATE list_entry SET leaves_at = now() WHERE value = '203.0.0.2'"
                other.execute(sa.text(due + " AND list_id = :list"), {"list": UUID(small["id"])})
            check_entries(lists.own)
            seen.append(lists.values(small["id"]))
        return result

    monkeypatch.setattr(fills, place, meddle)
    assert fill_lists(lists.own) == 1
    # The second address is still listed, so that it stays; the seventh has come at once.
    assert seen == [["203.0.0.2", "203.0.0.3", "203.0.0.8"]]
    assert lists.values(big["id"]) == ["203.0.0.2", "203.0.0.3", "203.0.0.8"]


@pytest.mark.parametrize("place", ["stage", "apply_stage"])
def test_what_a_killed_fill_kept_back_reaches_the_list(
    lists: Lists, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    view = lists.create(max_shrink=None)
    lists.see(address(1))
    lists.client.patch(f"/v1/lists/{view['id']}", json={"filter": "observable.score >= 21"})
    act = getattr(fills, place)

    def die(session: Session, *arguments: Any) -> Any:
        act(session, *arguments)
        lists.see(address(7))
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(fills, place, die)
        # As a process that ends: nothing behind the failure happens.
        with pytest.raises(Unavailable):
            fill_list(lists.own, UUID(view["id"]))
    assert lists.rows("SELECT phase FROM list_fill WHERE list_id = :list", view["id"])
    lists.see(address(8))
    with lists.own.transaction(PLATFORM) as session:
        # The fill itself waits for its next attempt.
        again = "UPDATE dissemination_list SET failed_revision = revision, "
        session.execute(sa.text(again + "fill_again_at = now() + interval '1 minute'"))
    assert fill_lists(lists.own) == 0
    assert lists.values(view["id"]) == ["203.0.0.2", "203.0.0.8", "203.0.0.9"]
    assert not lists.rows("SELECT FROM list_fill WHERE list_id = :list", view["id"])


def test_an_edit_in_the_middle_of_a_fill_is_what_counts(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lists.create(max_shrink=None)
    lists.see(address(1))
    path = f"/v1/lists/{view['id']}"
    lists.client.patch(path, json={"filter": "observable.score >= 21"})
    act = fills.stage
    edits: list[int] = []

    def edit(session: Session, pages: Any) -> None:
        act(session, pages)
        if not edits:
            body = {"filter": 'observable.value == "203.0.0.8"'}
            edits.append(lists.client.patch(path, json=body).status_code)
            lists.see(address(7))

    monkeypatch.setattr(fills, "stage", edit)
    assert fill_lists(lists.own) == 0
    assert edits == [200]
    assert not lists.view(view["id"])["is_filled"]
    assert fill_lists(lists.own) == 1
    assert lists.values(view["id"]) == ["203.0.0.8"]


def test_failed_fills_wait_longer_each_time_whatever_process_tries(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lists.create()
    lists.client.patch(f"/v1/lists/{view['id']}", json={"filter": "observable.score >= 21"})

    def fail(*_: object) -> None:
        raise Unavailable("The statement takes too long.")

    monkeypatch.setattr(fills, "stage", fail)
    pauses = []
    for _ in range(10):
        assert fill_lists(lists.own) == 0
        query = """SELECT extract(epoch FROM fill_again_at - now()) FROM dissemination_list
            WHERE id = :list"""
        pauses.append(float(lists.rows(query, view["id"])[0][0]))
        with lists.own.transaction(PLATFORM) as session:
            session.execute(sa.text("UPDATE dissemination_list SET fill_again_at = now()"))
    assert [round(each, -1) for each in pauses[5:]] == [60, 130, 260, 300, 300]
    assert lists.view(view["id"])["fill_again_at"]

"""Several consumers and a fill at a time, and a crash: nothing is lost, no number comes twice."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from services.observables.dissemination.membership.fill import fill_lists
from services.observables.dissemination.membership.handlers import handle_changes
from shared.database import PLATFORM
from shared.events import Event
from shared.events.observables import CHANGED, ObservablesChanged
from tests.observables.conftest import chunk, handle
from tests.observables.dissemination.conftest import Lists, address


def events(lists: Lists) -> list[Event[ObservablesChanged]]:
    return [
        Event(
            CHANGED,
            msgspec.json.decode(payload, type=ObservablesChanged),
            "acme",
            "/services/observables",
            key=b"0",
        )
        for payload in lists.published()
    ]


def apply(lists: Lists, event: Event[ObservablesChanged]) -> None:
    with lists.own.transaction(PLATFORM) as session:
        handle_changes(session, [event])


def check_numbers(lists: Lists, list_id: str, members: int) -> None:
    rows = lists.rows(
        "SELECT number, kind FROM list_change WHERE list_id = :list ORDER BY number", list_id
    )
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    kinds = [row[1] for row in rows]
    view = lists.view(list_id)
    assert kinds.count("in") - kinds.count("out") == view["members"] == members
    assert view["version"] == len(rows)


def test_consumers_and_a_fill_at_a_time_lose_nothing(lists: Lists) -> None:
    whole = lists.create(name="whole", max_growth=None, max_shrink=None)
    capped = lists.create(name="capped", capacity=50, max_growth=None, max_shrink=None)
    handle(lists.own, chunk(*map(address, range(600))))
    waiting = events(lists)
    assert len(waiting) > 10
    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(apply, lists, event) for event in waiting]
        changed = lists.client.patch(f"/v1/lists/{whole['id']}", json={"grace_seconds": 60})
        assert changed.status_code == 200
        filled = threads.submit(fill_lists, lists.own)
        for result in results:
            result.result(60)
        filled.result(60)
    check_numbers(lists, whole["id"], 600)
    check_numbers(lists, capped["id"], 50)


def test_a_crash_in_the_middle_leaves_nothing_and_the_repetition_all(lists: Lists) -> None:
    view = lists.create(max_growth=None)
    handle(lists.own, chunk(*map(address, range(100))))
    waiting = events(lists)

    def crash(event: Event[ObservablesChanged]) -> None:
        with lists.own.transaction(PLATFORM) as session:
            handle_changes(session, [event])
            raise RuntimeError("killed")

    for event in waiting:
        with pytest.raises(RuntimeError):
            crash(event)
    assert lists.view(view["id"])["version"] == 0
    for event in [*waiting, *waiting[:3]]:
        apply(lists, event)
    check_numbers(lists, view["id"], 100)

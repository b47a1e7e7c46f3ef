"""Events between two statements of a sweep, and fills that fail."""

from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from services.observables.dissemination.membership import fill
from services.observables.dissemination.membership.repository import changes
from services.observables.dissemination.membership.upkeep import check_entries
from shared.errors import Unavailable
from tests.observables.conftest import OTHER, after
from tests.observables.dissemination.conftest import Lists, address

_SECONDS_LEFT = """
SELECT extract(epoch FROM leaves_at - now()) FROM observables.list_entry
WHERE list_id = :list AND value = '203.0.0.2'
"""


def test_a_sweep_keeps_the_grace_that_an_event_has_granted_meanwhile(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lists.create("observable.sources >= 2", grace_seconds=600, max_shrink=None)
    lists.see(address(1), address(2))
    lists.see(address(1), address(2), feed=OTHER, at=after(1))
    undated = changes.undated
    sizes: list[int] = []

    def choose(session: Session, limit: int) -> list[tuple[UUID, UUID]]:
        rows = undated(session, limit)
        if not sizes:
            lists.see(gone=[address(1)], feed=OTHER, at=after(2))
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(changes, "undated", choose)
    check_entries(lists.own)
    assert sizes[0] == 2
    [(seconds,)] = lists.rows(_SECONDS_LEFT, view["id"])
    assert 0 < seconds <= 600


def test_a_list_that_cannot_be_filled_is_not_tried_at_once_again(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lists.create()
    place = f"/v1/lists/{view['id']}"
    lists.client.patch(place, json={"filter": "observable.score >= 21"})
    attempts: list[int] = []

    def fail(*_: object) -> None:
        attempts.append(1)
        raise Unavailable("The statement takes too long.")

    with monkeypatch.context() as patch:
        patch.setattr(fill.fills, "stage", fail)
        assert [fill.fill_lists(lists.own) for _ in range(3)] == [0, 0, 0]
        assert len(attempts) == 1
        assert lists.view(view["id"])["fill_error"] == "The statement takes too long."
    # An edit is another attempt, at once.
    lists.client.patch(place, json={"filter": "observable.score >= 22"})
    assert fill.fill_lists(lists.own) == 1

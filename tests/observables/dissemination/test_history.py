"""Lists as of any moment, against what was written down at that moment."""

import random
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from services.observables.dissemination.membership.fill import fill_lists
from shared.database import PLATFORM
from tests.observables.conftest import OTHER, after
from tests.observables.dissemination.conftest import Lists, address

_STEPS = 25
_MOMENTS = 100


def moment_of(lists: Lists) -> datetime:
    with lists.own.transaction(PLATFORM) as session:
        moment: datetime = session.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return moment


def replayed(lists: Lists, view: dict[str, Any], moment: datetime) -> list[str]:
    """The members at a moment, by all changes until then, one after the other."""
    members: set[str] = set()
    query = "SELECT changed_at, value, kind FROM list_change WHERE list_id = :list ORDER BY number"
    for changed_at, value, kind in lists.rows(query, view["id"]):
        if changed_at > moment:
            break
        if kind == "in":
            members.add(value)
        else:
            members.remove(value)
    return sorted(members)


def act(lists: Lists, list_id: str, choice: random.Random, step: int) -> None:
    """Let observables come and go, be reported, and the list be edited."""
    numbers = choice.sample(range(30), 6)
    listed = [address(number) for number in numbers]
    kind = choice.random()
    if kind < 0.45:
        lists.see(*listed, feed=OTHER, at=after(step))
    elif kind < 0.8:
        lists.see(gone=listed, feed=OTHER, at=after(step))
    elif kind < 0.9:
        report = {"sightings": [{"value": listed[0].value, "kind": "false-positive"}]}
        assert lists.client.post("/v1/sightings", json=report).status_code in {200, 201}
        lists.follow()
    else:
        capacity = choice.choice([None, 5, 12])
        answer = lists.client.patch(f"/v1/lists/{list_id}", json={"capacity": capacity})
        assert answer.status_code == 200
        fill_lists(lists.own)


@pytest.mark.parametrize("seed", range(2))
def test_a_list_as_of_a_hundred_moments_is_what_it_was(lists: Lists, seed: int) -> None:
    choice = random.Random(seed)  # noqa: S311  # no secret
    view = lists.create("observable.sources >= 2", max_growth=None, max_shrink=None)
    lists.see(*map(address, range(30)))
    moments = [moment_of(lists)]
    states = [lists.values(view["id"])]
    for step in range(1, _STEPS + 1):
        act(lists, view["id"], choice, step)
        moments.append(moment_of(lists))
        states.append(lists.values(view["id"]))
    assert len({tuple(state) for state in states}) > _STEPS // 3
    begin = moments[0]
    span = moment_of(lists) - begin
    for _ in range(_MOMENTS):
        moment = begin + span * choice.random()
        assert lists.values(view["id"], as_of=moment.isoformat()) == replayed(lists, view, moment)
    for moment, state in zip(moments, states, strict=True):
        assert lists.values(view["id"], as_of=moment.isoformat()) == state

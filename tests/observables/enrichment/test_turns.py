"""Whose turn it is: people before playbooks before automatic work, tenants one after the other, no provider for all."""

import threading
import time

import pytest

from services.observables.enrichment.queues.repository.jobs import BACKGROUND, PLAYBOOK
from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import Reply


def addresses(count: int, first: str = "45.32") -> list[str]:
    return [f"{first}.{number // 250}.{number % 250 + 1}" for number in range(count)]


def test_a_click_goes_before_all_that_waits(world: World, client_for):
    world.enricher(concurrency=1)
    world.providers.answering["probe"] = lambda _: Reply(delay=0.01)
    world.ask(*addresses(20_000))
    asker = threading.Thread(target=world.shift, args=(10,))
    asker.start()
    world.wait_for(lambda: len(world.providers.calls) > 20, "automatic work")
    client = client_for("observables", role="analyst")
    made = client.post("/v1/enrichments", json={"values": ["45.99.1.1"]}).json()
    before = len(world.providers.calls)
    world.wait_for(
        lambda: client.get(f"/v1/enrichments/{made['id']}").json()["open"] == 0, "the answer"
    )
    place = world.providers.asked("probe").index("45.99.1.1")
    # What had been taken already may come before it; nothing else does.
    assert place - before < 60
    client.post("/v1/enrichment-jobs/cancel", json={})
    asker.join()


def test_playbooks_go_before_automatic_work_and_after_people(world: World, client_for):
    world.enricher(concurrency=1)
    world.ask(*addresses(10, "45.31"), priority=BACKGROUND)
    world.ask(*addresses(10, "45.32"), priority=PLAYBOOK)
    client = client_for("observables", role="analyst")
    client.post("/v1/enrichments", json={"values": addresses(10, "45.33")})
    world.shift()
    turns = [value[:5] for value in world.providers.asked("probe")]
    assert turns == ["45.33"] * 10 + ["45.32"] * 10 + ["45.31"] * 10


def test_tenants_that_share_a_provider_take_turns(world: World):
    world.enricher(concurrency=1)
    world.ask(*addresses(300, "45.31"), tenant="acme")
    world.ask(*addresses(20, "45.32"), tenant="rival")
    world.shift()
    turns = [value[:5] for value in world.providers.asked("probe")]
    assert turns.index("45.32") < 80
    assert max(place for place, turn in enumerate(turns) if turn == "45.32") < 150


def test_an_open_automatic_question_that_somebody_clicks_on_goes_first(world: World, client_for):
    world.enricher(concurrency=1)
    values = addresses(200)
    world.ask(*values)
    client = client_for("observables", role="analyst")
    client.post("/v1/enrichments", json={"values": [values[-1]]})
    world.shift()
    assert world.providers.asked("probe")[0] == values[-1]
    assert world.providers.repeated("probe") == {}


@pytest.mark.parametrize(
    "trouble",
    [Reply(500, b"dead"), Reply(body=b'{"listed": true}' * 20, trickle=1.0), Reply(delay=60)],
    ids=["dead", "a byte a second", "silent"],
)
def test_one_provider_in_trouble_does_not_hold_the_others(world: World, trouble: Reply):
    for name in ("first", "second", "bad"):
        world.enricher(name, timeout=2.0)
    world.providers.answering["bad"] = lambda _: trouble
    world.ask(*addresses(300))
    started = time.monotonic()
    asker = threading.Thread(target=world.shift, args=(6,))
    asker.start()
    world.wait_for(
        lambda: all(len(world.providers.asked(name)) == 300 for name in ("first", "second")),
        "the others",
    )
    assert len(world.providers.asked("bad")) <= 40
    world.wait_for(lambda: world.states().get("done") == 600, "their answers", 10)
    assert time.monotonic() - started < 30
    asker.join()
    assert world.states() == {"done": 600, "waiting": 300}

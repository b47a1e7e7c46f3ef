"""Turns: people before playbooks before policies, tenants in turn, no provider for all workers."""

import threading

import pytest

from services.observables.enrichment.queues.models import BACKGROUND, PLAYBOOK
from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import Reply


def addresses(count: int, first: str = "45.32") -> list[str]:
    return [f"{first}.{number // 250}.{number % 250 + 1}" for number in range(count)]


def test_an_interactive_job_goes_before_all_that_wait(world: World, client_for):
    world.enricher(concurrency=1)
    world.providers.replies["probe"] = lambda _: Reply(delay=0.01)
    world.ask(*addresses(20_000))
    worker = threading.Thread(target=world.run_worker, args=(80,))
    worker.start()
    world.wait_for(lambda: len(world.providers.calls) > 20, "automatic work", 60)
    client = client_for("observables", role="analyst")
    created = client.post("/v1/enrichments", json={"values": ["45.99.1.1"]}).json()
    before = len(world.providers.calls)
    world.wait_for(
        lambda: client.get(f"/v1/enrichments/{created['id']}").json()["open"] == 0, "the answer", 60
    )
    place = world.providers.queries_of("probe").index("45.99.1.1")
    # Only jobs that were claimed already may come before it.
    assert place - before < 60
    client.post("/v1/enrichment-jobs/cancel", json={})
    worker.join()


def test_playbooks_go_before_background_work_and_after_people(world: World, client_for):
    world.enricher(concurrency=1)
    world.ask(*addresses(10, "45.31"), priority=BACKGROUND)
    world.ask(*addresses(10, "45.32"), priority=PLAYBOOK)
    client = client_for("observables", role="analyst")
    client.post("/v1/enrichments", json={"values": addresses(10, "45.33")})
    world.run_worker()
    turns = [value[:5] for value in world.providers.queries_of("probe")]
    assert turns == ["45.33"] * 10 + ["45.32"] * 10 + ["45.31"] * 10


def test_tenants_that_share_a_provider_take_turns(world: World):
    world.enricher(concurrency=1)
    world.ask(*addresses(300, "45.31"), tenant="acme")
    world.ask(*addresses(20, "45.32"), tenant="rival")
    world.run_worker()
    turns = [value[:5] for value in world.providers.queries_of("probe")]
    assert turns.index("45.32") < 80
    assert max(place for place, turn in enumerate(turns) if turn == "45.32") < 150


def test_an_open_background_job_that_a_person_requests_goes_first(world: World, client_for):
    world.enricher(concurrency=1)
    values = addresses(200)
    world.ask(*values)
    client = client_for("observables", role="analyst")
    client.post("/v1/enrichments", json={"values": [values[-1]]})
    world.run_worker()
    assert world.providers.queries_of("probe")[0] == values[-1]
    assert world.providers.repetitions("probe") == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "trouble",
    [Reply(500, b"dead"), Reply(body=b'{"listed": true}' * 20, trickle=1.0), Reply(delay=60)],
    ids=["dead", "a byte a second", "silent"],
)
def test_one_provider_in_trouble_does_not_hold_the_others(world: World, trouble: Reply):
    for name in ("first", "second", "bad"):
        world.enricher(name, timeout=2.0)
    world.providers.replies["bad"] = lambda _: trouble
    world.ask(*addresses(300))
    is_over = threading.Event()

    def work() -> None:
        # However long it takes on a busy machine; a worker by itself ends after some seconds.
        while not is_over.is_set():
            world.run_worker(3)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        world.wait_for(
            lambda: all(
                len(world.providers.queries_of(name)) == 300 for name in ("first", "second")
            ),
            "the others",
            120,
        )
        # Had they waited for the bad one, it would have had most of its queries by now.
        assert len(world.providers.queries_of("bad")) <= 40
        world.wait_for(lambda: world.states().get("done") == 600, "their answers")
    finally:
        is_over.set()
        worker.join()
    assert world.states() == {"done": 600, "waiting": 300}

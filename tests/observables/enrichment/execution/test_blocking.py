"""The worker's event loop makes all calls of all queues: no call on it may block."""

from tests.observables.enrichment.conftest import World
from tests.shared.runtime.blocking_detector import blocking_calls


def test_the_worker_does_not_block_its_loop(world: World) -> None:
    world.enricher()
    world.know("45.32.0.1", "45.32.0.2")
    world.ask(*(f"45.32.0.{number}" for number in range(1, 60)))
    with blocking_calls() as calls:
        world.run_worker(20)
    assert world.states() == {"done": 59}
    assert calls == []

"""A worker: queries are sent, answers take effect, and no call starts before its time."""

import time

from tests.observables.conftest import changes, outbox
from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import Reply, over_quota_after

ADDRESSES = [f"45.33.{number // 250}.{number % 250 + 1}" for number in range(1000)]


def test_every_query_is_sent_once_and_answered(world: World):
    world.enricher()
    world.know(*ADDRESSES[:300])
    world.ask(*ADDRESSES[:300])
    summary = world.run_worker()
    assert (summary.answered, summary.again, summary.more) == (300, 0, False)
    assert world.states() == {"done": 300}
    assert sorted(world.providers.queries_of("probe")) == sorted(ADDRESSES[:300])


def test_over_quota_means_waiting(world: World):
    world.enricher(concurrency=1)
    world.providers.replies["probe"] = over_quota_after(50, 0.5)
    world.know(*ADDRESSES[:200])
    world.ask(*ADDRESSES[:200])
    started = time.time()
    world.run_worker()
    assert world.states() == {"done": 200}
    assert time.time() - started > 1.5
    assert len(world.providers.calls) == 200 + 3


def test_the_breaker_opens_for_a_failing_provider_and_jobs_wait(world: World):
    world.enricher(concurrency=2)
    world.providers.replies["probe"] = lambda _: Reply(500, b"oops")
    world.ask(*ADDRESSES[:100])
    world.run_worker(3)
    assert len(world.providers.calls) <= 10
    assert world.states() == {"waiting": 100}
    assert {job.reason["code"] for job in world.jobs() if job.attempts} == {"upstream-status"}


def test_an_answer_is_published(world: World):
    world.enricher()
    world.know("45.33.32.156")
    changes(world.own)
    world.ask("45.33.32.156")
    world.run_worker()
    assert len(outbox(world.own, "observables.enriched.v1")) == 1

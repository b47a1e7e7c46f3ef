"""Whatever happens to runs, workers, versions and records: asserted is what is listed.

A state machine interleaves all of it, over the code of both services. Scripts play the
interleavings by which feed and store once parted for ever; with one of the promises taken out of
the code, its script fails.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy.orm import Session

from services.feeds.runs.chunks import Chunker
from services.feeds.runs.document_processor import DocumentProcessor
from services.feeds.runs.leased_run import LeasedRun
from services.feeds.subscriptions import repository
from services.feeds.subscriptions.models import Feed, FeedColumns
from shared.clock import database_now
from shared.settings import Settings
from tests.feeds.runs.world import ADDRESSES, PARTITIONS, World

VALUES = st.frozensets(st.integers(1, 50), max_size=50)
SIMILAR = st.integers(0, 49).map(lambda start: frozenset(range(1, 51)) - {start, start + 1})
LISTS = st.one_of(VALUES, SIMILAR)
PLACES = st.sampled_from(["send", "begin_publishing", "finish"])
COUNTS = st.integers(0, 40)
PARTITION = st.integers(0, PARTITIONS - 1)


class FeedMachine(RuleBasedStateMachine):
    """Everything that can happen to a feed, in any order."""

    environment: Settings

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.environment)
        self._installed = self.world.installed()
        self._installed.__enter__()

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self._installed.__exit__(None, None, None)

    @rule(address=st.sampled_from(ADDRESSES), values=LISTS)
    def change_list(self, address: str, values: frozenset[int]) -> None:
        self.world.list_values(address, values)

    @rule()
    def start_fetch(self) -> None:
        self.world.fetch()

    @rule(values=LISTS)
    def upload(self, values: frozenset[int]) -> None:
        self.world.upload(values)

    @rule()
    def confirm(self) -> None:
        self.world.confirm()

    @rule()
    def resync(self) -> None:
        self.world.resync()

    @rule(address=st.sampled_from(ADDRESSES))
    def change_address(self, address: str) -> None:
        self.world.change_address(address)

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule(place=PLACES, count=COUNTS)
    def work_and_be_killed(self, place: str, count: int) -> None:
        self.world.work_until(place, self.world.kill_worker, count)

    @rule(place=PLACES, count=COUNTS)
    def work_and_be_overtaken(self, place: str, count: int) -> None:
        self.world.work_until(place, self.world.be_overtaken, count)

    @rule(place=PLACES, count=COUNTS, address=st.sampled_from(ADDRESSES))
    def work_while_the_address_changes(self, place: str, count: int, address: str) -> None:
        self.world.work_until(place, lambda: self.world.change_address(address), count)

    @rule()
    def end_leases(self) -> None:
        self.world.end_leases()

    @rule()
    def restart_workers(self) -> None:
        self.world.release()

    @rule()
    def give_run_up(self) -> None:
        self.world.wear_out()

    @rule(how=st.sampled_from(["lost", "cut", "foreign"]))
    def lose_version(self, how: str) -> None:
        self.world.lose_version(how)

    @rule()
    def step_clock(self) -> None:
        self.world.step_clock()

    @rule(partition=PARTITION, count=st.integers(1, 40), again=st.integers(0, 3))
    def deliver(self, partition: int, count: int, again: int) -> None:
        self.world.deliver(partition, count, again=again)

    @rule(partition=PARTITION, number=st.integers(0, 200))
    def repeat_record(self, partition: int, number: int) -> None:
        self.world.repeat_record(partition, number)

    @rule()
    def relay(self) -> None:
        self.world.relay()


def run_model(settings: Settings, examples: int, steps: int, *phases: Phase) -> None:
    FeedMachine.environment = settings
    run_state_machine_as_test(
        FeedMachine,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=phases or tuple(Phase),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)
def test_what_is_asserted_is_what_is_listed(environment: Settings) -> None:
    run_model(environment, 12, 20)


# The interleavings, as scripts


@pytest.fixture
def world(environment: Settings) -> Iterator[World]:
    world = World(environment)
    with world.installed():
        world.upload(range(1, 21))
        world.work()
        yield world


def overlap(world: World) -> None:
    """A and B begin with the same version; A retracts x, which B lists."""
    world.upload(range(1, 20))
    world.upload(range(1, 21))
    world.work_until("finish", world.be_overtaken)


def finish_during_fetch(world: World) -> None:
    """A ends while B works, and removes the version that B began with."""
    world.upload(range(2, 21))
    world.list_values(ADDRESSES[0], range(3, 23))
    world.fetch()
    world.work_until("send", world.be_overtaken)


def retry_older_run(world: World) -> None:
    """An older run is repeated after a newer one was queued."""
    world.upload(range(2, 21))
    world.upload(range(1, 21))
    world.work_until("send", world.kill_worker)
    world.end_leases()
    world.work()
    world.work()


def step_clock(world: World) -> None:
    """The database's clock was ahead during one run, and is set right before the next."""
    world.step_clock()
    world.upload(range(2, 22))
    world.work()
    world.upload(range(4, 24))
    world.work()


def give_up_after_publishing(world: World) -> None:
    """A run publishes all it has, and is given up; the next list is the one before."""
    world.upload(range(11, 31))
    world.work_until("finish", world.kill_worker)
    world.wear_out()
    world.end_leases()
    world.work()
    world.upload(range(1, 21))
    world.work()


def lose_version(world: World) -> None:
    """The version is lost, and so is what the list no longer names."""
    world.lose_version("lost")
    world.upload(range(3, 23))
    world.work()


def change_address(world: World) -> None:
    """The address changes while the old one is read; both lists have the same ETag."""
    world.list_values(ADDRESSES[0], range(1, 21))
    world.list_values(ADDRESSES[1], range(5, 25))
    world.fetch()
    world.work_until("finish", lambda: world.change_address(ADDRESSES[1]))


Script = Callable[[World], None]
SCRIPTS = [
    overlap,
    finish_during_fetch,
    retry_older_run,
    step_clock,
    give_up_after_publishing,
    lose_version,
    change_address,
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_interleaving_ends_with_what_is_listed(world: World, script: Script) -> None:
    script(world)
    world.settle()


# With a promise taken out of the code, its interleaving ends otherwise.


def move_anyway(session: Session, feed: Feed, values: FeedColumns) -> Feed:
    """Without the compare-and-swap."""
    return repository.update_feed(session, feed.tenant, feed.id, values)


def remove_swap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(repository, "move_feed", move_anyway)
    patch.setattr(LeasedRun, "check_base", lambda _: None)


def remove_monotony(patch: pytest.MonkeyPatch) -> None:
    genuine = repository.advance_moment
    ahead: list[datetime] = []

    def advance_moment(session: Session, feed_id: UUID) -> datetime:
        """The clock's time, which is ahead in the first run."""
        if ahead:
            return database_now(session)
        ahead.append(genuine(session, feed_id))
        return ahead[0]

    patch.setattr(repository, "advance_moment", advance_moment)


def remove_statement_after_giving_up(patch: pytest.MonkeyPatch) -> None:
    give_up = LeasedRun._give_up

    def forget(run: LeasedRun, *args: object) -> None:
        run._has_published = False
        give_up(run, *args)

    patch.setattr(LeasedRun, "_give_up", forget)


def remove_statement_after_loss(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DocumentProcessor, "check_snapshot", lambda _: None)
    patch.setattr(LeasedRun, "become_full", lambda _run, _reason: None)


def remove_ends_of_statements(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Chunker, "statement", Chunker.seen)


@pytest.mark.parametrize(
    ("remove", "script"),
    [
        (remove_swap, change_address),
        (remove_monotony, step_clock),
        (remove_statement_after_giving_up, give_up_after_publishing),
        (remove_statement_after_loss, lose_version),
        (remove_ends_of_statements, lose_version),
    ],
)
def test_without_a_promise_its_interleaving_fails(
    world: World, remove: Callable[[pytest.MonkeyPatch], None], script: Script
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        remove(patch)
        script(world)
        with pytest.raises(AssertionError):
            world.settle()

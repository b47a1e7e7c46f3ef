"""The oracle: compares what the platform accepted with what came of it."""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.events import CATALOGUE
from tests.faults.installation import TENANT, Installation
from tests.faults.load import Load


@dataclass
class Figures:
    """The counters of a row.

    Attributes:
        accepted: values and sightings that the platform took on.
        effects: of these, those that are stored.
        dead: new dead letters.
        lost: values that are listed and not stored, or stored and not listed any more; sightings
            that are not stored; values that no notification tells of.
        duplicate: values that were stored as new, or announced, more than once.
        stuck: runs, deliveries and events that came to no end.
        leaked: values that another tenant saw.
        recovery_s: from the end of the fault until new work went all the way again.
    """

    accepted: int = 0
    effects: int = 0
    dead: int = 0
    lost: int = 0
    duplicate: int = 0
    stuck: int = 0
    leaked: int = 0
    recovery_s: float | None = None

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept, but for its time."""
        return not (self.lost or self.duplicate or self.stuck or self.leaked)


class Oracle:
    """Counts what has become of loads.

    Args:
        installation: runs.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._dead_before = self.dead_letters()

    def settle(self, *loads: Load, seconds: float = 90) -> Figures:
        """Wait until the figures are as promised, or for a while; return the last ones."""
        deadline = time.monotonic() + seconds
        while True:
            figures = self.figures(*loads)
            if figures.is_kept or time.monotonic() > deadline:
                return figures
            time.sleep(0.25)

    def figures(self, *loads: Load) -> Figures:
        """The counters as they are now."""
        figures = Figures()
        for load in loads:
            self._count_effects(load, figures)
            self._count_announced(load, figures)
        figures.stuck = sum(count for _, count in self._installation.rows("stuck"))
        figures.leaked = self._leaked(loads)
        figures.dead = self.dead_letters() - self._dead_before
        return figures

    def details(self, *loads: Load) -> str:
        """What is behind figures that are not as promised, for a person."""
        stuck = [(name, count) for name, count in self._installation.rows("stuck") if count]
        failed = [
            row
            for load in loads
            for row in self._installation.rows(
                "failed", feeds=list(load.ledger.listed), rule=load.name
            )
        ]
        return f"stuck: {stuck}; given up: {failed[:5]}"

    def _count_effects(self, load: Load, figures: Figures) -> None:
        ledger = load.ledger
        feeds = list(ledger.listed)
        stored = set(self._installation.rows("listed", feeds=feeds))
        listed = {(feed, value) for feed, values in ledger.listed.items() for value in values}
        unanswered = {row for row in stored - listed if row[1] in ledger.unanswered}
        sightings = list(ledger.sightings)
        sighted = self._installation.rows("sightings", sightings=sightings)
        figures.accepted += ledger.accepted
        figures.effects += len(listed & stored) + len(sighted)
        figures.lost += len(listed ^ (stored - unanswered)) + len(ledger.sightings) - len(sighted)
        new = self._installation.rows("stored_twice", feeds=feeds)[0][0]
        values = set().union(*ledger.listed.values(), ledger.announced)
        values.update(value for _, value in unanswered)
        figures.duplicate += max(0, int(new) - len(values))

    def _count_announced(self, load: Load, figures: Figures) -> None:
        announced = dict(self._installation.rows("announced", rule=load.name))
        figures.lost += len(load.ledger.announced - set(announced))
        figures.duplicate += sum(count - 1 for count in announced.values())
        figures.lost += max(0, len(announced) - load.announced())
        figures.duplicate += max(0, load.announced() - sum(announced.values()))

    def _leaked(self, loads: tuple[Load, ...]) -> int:
        values = list(set().union(*(load.ledger.announced for load in loads)))
        rows = self._installation.rows("leaked", tenant=TENANT, values=values)
        return int(rows[0][0]) + self._installation.outside.book.matches("/hook/stranger")

    def dead_letters(self) -> int:
        """How many dead letters the log has."""
        return asyncio.run(_count_records(self._installation.brokers))


async def _count_records(brokers: dict[str, Any]) -> int:
    consumer = AIOKafkaConsumer(**brokers)
    async with consumer:
        existing = await consumer.topics()
        parts = [TopicPartition(topic.dead, 0) for topic in CATALOGUE if topic.dead in existing]
        return sum((await consumer.end_offsets(parts)).values())

"""What the Celery workers say about themselves, asked through the broker."""

from dataclasses import dataclass
from typing import Final

from celery import Celery

from shared.settings import Settings

_WITHIN: Final = 2.0
"""Seconds that workers have to answer; all of them are waited for."""


@dataclass(frozen=True)
class Workers:
    """The workers that answered: each with its queues and the tasks it knows."""

    found: dict[str, tuple[frozenset[str], frozenset[str]]]

    def on(self, queue: str) -> list[str]:
        """Names of the workers of a queue."""
        return sorted(name for name, (queues, _) in self.found.items() if queue in queues)

    def tasks(self, queue: str) -> frozenset[str]:
        """What the workers of a queue can do."""
        return frozenset().union(
            *(tasks for queues, tasks in self.found.values() if queue in queues)
        )

    def all_tasks(self) -> frozenset[str]:
        """What any worker can do."""
        return frozenset().union(*(tasks for _, tasks in self.found.values()))


def ask_workers(settings: Settings) -> Workers:
    """Ask all workers; those that do not answer in time are as good as gone."""
    app = Celery(
        "doctor", broker=settings.celery_broker_url.get_secret_value(), set_as_current=False
    )
    with app.connection_for_write() as connection:
        asked = app.control.inspect(timeout=_WITHIN, connection=connection)
        queues = asked.active_queues() or {}
        tasks = asked.registered() or {}
    app.close()
    return Workers(
        {
            name: (frozenset(queue["name"] for queue in listed), frozenset(tasks.get(name, ())))
            for name, listed in queues.items()
        }
    )

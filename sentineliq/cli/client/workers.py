"""Asks the Celery workers through the broker which queues and tasks they have."""

from dataclasses import dataclass
from typing import Final

import redis
from celery import Celery

from shared.settings import Settings

_ANSWER_WITHIN: Final = 2.0
"""Seconds that workers have to answer."""
_CONTROL_CHANNEL: Final = "/{database}.celery.pidbox"
"""The Redis channel on which kombu sends control messages; each worker subscribes to it."""


@dataclass(frozen=True)
class WorkerDescription:
    """One worker: the queues it consumes and the tasks it has registered."""

    queues: frozenset[str]
    tasks: frozenset[str]


@dataclass(frozen=True)
class Workers:
    """The workers that answered, by name."""

    by_name: dict[str, WorkerDescription]

    def on(self, queue: str) -> list[str]:
        """Names of the workers of a queue."""
        return sorted(name for name, worker in self.by_name.items() if queue in worker.queues)

    def tasks(self, queue: str) -> frozenset[str]:
        """The tasks that workers of a queue have registered."""
        return frozenset().union(*(self.by_name[name].tasks for name in self.on(queue)))

    def all_tasks(self) -> frozenset[str]:
        """The tasks that any worker has registered."""
        return frozenset().union(*(worker.tasks for worker in self.by_name.values()))


def inspect_workers(settings: Settings) -> Workers:
    """Ask all workers; one that does not answer in time counts as gone."""
    url = settings.celery_broker_url.get_secret_value()
    app = Celery("doctor", broker=url, set_as_current=False)
    with app.connection_for_write() as connection:
        # With the number of workers known, there is no need to wait for further answers.
        inspect = app.control.inspect(
            timeout=_ANSWER_WITHIN, limit=_connected_workers(url), connection=connection
        )
        queues = inspect.active_queues() or {}
        tasks = inspect.registered() or {}
    app.close()
    workers = {}
    for name, listed in queues.items():
        queue_names = frozenset(queue["name"] for queue in listed)
        workers[name] = WorkerDescription(queue_names, frozenset(tasks.get(name, ())))
    return Workers(workers)


def _connected_workers(url: str) -> int | None:
    """How many workers listen to control messages; None where Redis does not say it."""
    with redis.Redis.from_url(url) as client:
        database = client.connection_pool.connection_kwargs.get("db", 0)
        channel = _CONTROL_CHANNEL.format(database=database)
        ((_, count),) = client.pubsub_numsub(channel)
    return int(count) or None

"""Asks the Celery workers through the broker which queues and tasks they have.

It uses the control mailbox of Celery without Celery, whose import takes as long as the answers.
"""

from dataclasses import dataclass
from typing import Any, Final

import redis
from kombu.connection import Connection
from kombu.pidbox import Mailbox

from shared.settings import Settings

_ANSWER_WITHIN: Final = 2.0
"""Seconds that workers have to answer."""
_MAILBOX: Final = "_kombu.binding.celery.pidbox"
"""The key of the queues of control messages, one for each worker."""
_DEAF_SECONDS: Final = 60.0
"""Seconds without a ping that ran, as `shared.runtime.liveness` counts them."""


@dataclass(frozen=True)
class WorkerDescription:
    """One worker.

    Attributes:
        queues: it consumes.
        tasks: it has registered.
        silent_seconds: since it last ran a message or was busy; None if it does not say it.
    """

    queues: frozenset[str]
    tasks: frozenset[str]
    silent_seconds: float | None = None


@dataclass(frozen=True)
class Workers:
    """The workers that answered, by name."""

    by_name: dict[str, WorkerDescription]

    def on(self, queue: str) -> list[str]:
        """Names of the workers of a queue."""
        return sorted(name for name, worker in self.by_name.items() if queue in worker.queues)

    def deaf_on(self, queue: str) -> list[str]:
        """Names of the workers of a queue that answer, but run no message."""
        seconds = {name: self.by_name[name].silent_seconds for name in self.on(queue)}
        return [name for name, silent in seconds.items() if silent and silent > _DEAF_SECONDS]

    def tasks(self, queue: str) -> frozenset[str]:
        """The tasks that workers of a queue have registered."""
        return frozenset().union(*(self.by_name[name].tasks for name in self.on(queue)))

    def all_tasks(self) -> frozenset[str]:
        """The tasks that any worker has registered."""
        return frozenset().union(*(worker.tasks for worker in self.by_name.values()))


def inspect_workers(settings: Settings) -> Workers:
    """Ask all workers; one that does not answer in time counts as gone."""
    url = settings.celery_broker_url.get_secret_value()
    # With the number of workers known, there is no need to wait for further answers.
    limit = _connected_workers(url)
    with Connection(url) as connection:
        mailbox = Mailbox("celery", type="fanout", accept=["json"])(connection)
        queues = _ask(mailbox, "active_queues", limit)
        tasks = _ask(mailbox, "registered", limit)
        liveness = _ask(mailbox, "liveness_seconds", limit)
    workers = {}
    for name, listed in queues.items():
        queue_names = frozenset(queue["name"] for queue in listed)
        workers[name] = WorkerDescription(
            queue_names,
            frozenset(tasks.get(name, ())),
            liveness.get(name, {}).get("seconds"),
        )
    return Workers(workers)


def _ask(mailbox: Mailbox, command: str, limit: int | None) -> dict[str, Any]:
    """The answers to a control command, by worker."""
    answers: dict[str, Any] = {}
    for answer in mailbox.multi_call(command, timeout=_ANSWER_WITHIN, limit=limit):
        answers |= answer
    return answers


def _connected_workers(url: str) -> int | None:
    """The most workers that can answer; None where the broker does not say it.

    kombu subscribes each worker to the mailbox by a pattern, as Flower does to events; and it binds
    the queue of each worker to the mailbox, which stays where a worker is killed.
    """
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=3) as client:
            listeners = client.client_list(_type="pubsub")
            bound = int(client.scard(_MAILBOX))
    except redis.ResponseError:  # the login may not list clients
        return None
    return min(sum(listener["psub"] != "0" for listener in listeners), bound) or None

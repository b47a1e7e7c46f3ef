"""Checks of Valkey: the server, the queues, and the workers behind it."""

import difflib
from collections.abc import Mapping
from typing import Final

import redis

from sentineliq.cli.client.workers import Workers
from sentineliq.cli.doctor.check import Check, start_step
from shared.runtime.queues import QUEUES
from shared.settings import Settings

_ANSWER_WITHIN: Final = 3
_LONG_QUEUE: Final = 1000


def check_broker(settings: Settings) -> Check:
    """Whether the broker answers."""
    try:
        with _connect(settings) as client:
            server = client.info("server")
    except redis.RedisError as error:
        return Check("Valkey", "problem", str(error), start_step("CELERY_BROKER_URL"))
    version = server.get("valkey_version") or server.get("redis_version")
    return Check("Valkey", "ok", f"{version}, up for {server.get('uptime_in_seconds', 0):,} s")


def _connect(settings: Settings) -> redis.Redis:
    url = settings.celery_broker_url.get_secret_value()
    return redis.Redis.from_url(
        url, socket_timeout=_ANSWER_WITHIN, socket_connect_timeout=_ANSWER_WITHIN
    )


def check_queue(settings: Settings, service: str) -> Check:
    """Count the messages in a service's queue."""
    queue = QUEUES[service]
    with _connect(settings) as client:
        length = int(client.llen(queue))
    seen = f"{length:,} wait in {queue}"
    if length > _LONG_QUEUE:
        step = (
            "start more workers, or raise SENTINELIQ_WORKER_CONCURRENCY; "
            "`sentineliq doctor --task NAME` checks one task"
        )
        return Check(f"{service} queue", "look", seen, step)
    return Check(f"{service} queue", "ok", seen)


def check_worker(service: str, workers: Workers, scheduled: Mapping[str, set[str]]) -> Check:
    """Whether a worker consumes a service's queue and knows the tasks that are scheduled for it.

    Args:
        service: whose worker it is.
        workers: those that answered.
        scheduled: tasks of enabled schedules, by queue.
    """
    queue = QUEUES[service]
    subject = f"{service} worker"
    names = workers.on(queue)
    if not names:
        step = f"start `python -m services.{service} worker`; see logs/celery.log"
        return Check(subject, "problem", f"no worker answers on the queue {queue}", step)
    if deaf := workers.deaf_on(queue):
        step = "restart it, if it does not end by itself within a minute; see logs/celery.log"
        return Check(subject, "problem", f"{', '.join(deaf)} runs no message", step)
    tasks = sorted(task for task in workers.tasks(queue) if task.startswith(f"{service}."))
    unknown = sorted(scheduled.get(queue, set()) - set(tasks))
    if unknown:
        seen = f"does not know {', '.join(unknown)}, which is scheduled"
        step = (
            f"restart the worker with the code that has it, or delete the schedule of {unknown[0]}"
        )
        return Check(subject, "problem", seen, step)
    return Check(subject, "ok", f"{', '.join(names)} on {queue}; knows {', '.join(tasks)}")


def check_registration(task: str, workers: Workers) -> Check:
    """Whether a worker of the right queue knows a task."""
    queue = QUEUES[task.partition(".")[0]]
    if task in workers.tasks(queue):
        return Check(task, "ok", f"registered by a worker on {queue}")
    if task in workers.all_tasks():
        seen = f"no worker on {queue} knows it, one on another queue does"
        step = f"it is sent to {queue}: start its own service's worker"
        return Check(task, "problem", seen, step)
    step = "import it in the service's tasks.py and restart its worker"
    similar = difflib.get_close_matches(task, workers.all_tasks(), n=1)
    if similar:
        step = f"did you mean {similar[0]}?"
    return Check(task, "problem", "no worker that answers knows it", step)

"""The doctor's checks: each looks at one thing and names the next step."""

import asyncio
import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import redis
from aiokafka.errors import KafkaError

from sentineliq.cli import output
from sentineliq.cli.client.workers import Workers
from sentineliq.cli.context import CommandContext
from shared.errors import SentinelIQError
from shared.kafka.cluster import administrator
from shared.migrations import pending_revisions
from shared.runtime.celery import QUEUES
from shared.settings import ServiceName, Settings

Status = Literal["ok", "look", "problem"]

_WITHIN: Final = 3
_LONG_QUEUE: Final = 1000
_SILENT_BEAT: Final = 5.0
_LOG_TAIL: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        status: ok; look: nothing is broken, and somebody should look; problem: something does not work.
        seen: what was found.
        step: what to do next, when there is something to do.
    """

    subject: str
    status: Status
    seen: str
    step: str = ""

    @property
    def fine(self) -> bool:
        """Whether what depends on it can be looked at."""
        return self.status != "problem"

    def as_dict(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


def postgres(settings: Settings) -> Check:
    """Whether PostgreSQL answers."""
    url = settings.database_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=_WITHIN) as connection:
            version = connection.info.parameter_status("server_version")
            where = f"{connection.info.host}:{connection.info.port}"
    except psycopg.Error as error:
        return Check(
            "PostgreSQL", "problem", str(error).strip().splitlines()[0], _start("DATABASE_URL")
        )
    return Check("PostgreSQL", "ok", f"{version} at {where}")


def valkey(settings: Settings) -> Check:
    """Whether the broker answers."""
    try:
        with _redis(settings) as client:
            server = client.info("server")
    except redis.RedisError as error:
        return Check("Valkey", "problem", str(error), _start("CELERY_BROKER_URL"))
    version = server.get("valkey_version") or server.get("redis_version")
    return Check("Valkey", "ok", f"{version}, up for {server.get('uptime_in_seconds', 0):,} s")


def kafka(settings: Settings) -> Check:
    """Whether Kafka answers."""
    try:
        brokers = asyncio.run(_brokers(settings))
    except (KafkaError, TimeoutError) as error:
        seen = f"no answer at {settings.kafka_bootstrap_servers}: {error or type(error).__name__}"
        return Check("Kafka", "problem", seen, _start("KAFKA_BOOTSTRAP_SERVERS"))
    return Check("Kafka", "ok", f"{brokers} broker(s) at {settings.kafka_bootstrap_servers}")


async def _brokers(settings: Settings) -> int:
    async with asyncio.timeout(2 * _WITHIN), administrator(settings) as admin:
        return len((await admin.describe_cluster())["brokers"])


def _start(variable: str) -> str:
    return f"start it (`sentineliq up`), or correct {variable}"


def _redis(settings: Settings) -> redis.Redis:
    url = settings.celery_broker_url.get_secret_value()
    return redis.Redis.from_url(url, socket_timeout=_WITHIN, socket_connect_timeout=_WITHIN)


def api(context: CommandContext, service: ServiceName) -> Check:
    """Whether an API is ready: it and its database answer."""
    subject = f"{service} api"
    try:
        context.client.get(service, "/readyz")
    except SentinelIQError as error:
        return Check(
            subject,
            "problem",
            error.message,
            f"start `python -m services.{service} api`; see logs/api.log",
        )
    return Check(subject, "ok", f"ready at {context.client.url(service)}")


def migrations(settings: Settings, service: ServiceName) -> Check:
    """Whether a schema is at the newest version."""
    missing = pending_revisions(service, settings.database_url.get_secret_value())
    if missing:
        step = f"run `python -m services.{service} migrate`"
        return Check(f"{service} migrations", "problem", f"not applied: {', '.join(missing)}", step)
    return Check(f"{service} migrations", "ok", "current")


def worker(service: str, workers: Workers, scheduled: Mapping[str, set[str]]) -> Check:
    """Whether a worker is alive on a service's queue and knows the tasks that are scheduled for it."""
    queue_name, subject = QUEUES[service], f"{service} worker"
    names = workers.on(queue_name)
    if not names:
        step = f"start `python -m services.{service} worker`; see logs/celery.log"
        return Check(subject, "problem", f"no worker answers on the queue {queue_name}", step)
    tasks = sorted(name for name in workers.tasks(queue_name) if name.startswith(f"{service}."))
    unknown = scheduled.get(queue_name, set()) - set(tasks)
    if unknown:
        step = f"restart the worker with the code that has it, or delete the schedule of {min(unknown)}"
        return Check(
            subject,
            "problem",
            f"does not know {', '.join(sorted(unknown))}, which is scheduled",
            step,
        )
    return Check(subject, "ok", f"{', '.join(names)} on {queue_name}; knows {', '.join(tasks)}")


def scheduled_tasks(context: CommandContext) -> dict[str, set[str]]:
    """The tasks of enabled schedules, by queue; none when the scheduler does not answer, which has a row of its own."""
    found: dict[str, set[str]] = defaultdict(set)
    try:
        for schedule in context.client.items("scheduler", "/v1/schedules"):
            if schedule["enabled"]:
                found[schedule["queue"]].add(schedule["task"])
    except SentinelIQError:
        return {}
    return found


def queue(settings: Settings, service: str) -> Check:
    """How many messages wait."""
    name = QUEUES[service]
    with _redis(settings) as client:
        length = int(client.llen(name))
    if length > _LONG_QUEUE:
        step = "more workers, or SENTINELIQ_WORKER_CONCURRENCY; `sentineliq doctor --task NAME` tells about one task"
        return Check(f"{service} queue", "look", f"{length:,} wait in {name}", step)
    return Check(f"{service} queue", "ok", f"{length:,} wait in {name}")


def registered(task: str, workers: Workers) -> Check:
    """Whether a worker knows a task, and on the queue it is sent to."""
    queue_name = QUEUES[task.partition(".")[0]]
    if task in workers.tasks(queue_name):
        return Check(task, "ok", f"registered by a worker on {queue_name}")
    if task in workers.all_tasks():
        step = f"it is sent to {queue_name}: start its own service's worker"
        return Check(
            task, "problem", f"no worker on {queue_name} knows it, one on another queue does", step
        )
    close = difflib.get_close_matches(task, workers.all_tasks(), n=1)
    step = (
        f"did you mean {close[0]}?"
        if close
        else "import it in the service's tasks.py and restart its worker"
    )
    return Check(task, "problem", "no worker that answers knows it", step)


def beats(context: CommandContext) -> Iterable[Check]:
    """Whether Beat is alive, and when it last fired."""
    try:
        found = context.client.get("scheduler", "/v1/beats")["items"]
    except SentinelIQError as error:
        return [
            Check("Beat", "problem", f"unknown: {error.message}", "mend the scheduler's API first")
        ]
    alive = [beat for beat in found if beat["seconds_since_tick"] <= _SILENT_BEAT]
    if alive:
        fired = output.moment(alive[0]["last_fired_at"]) or "never yet"
        where = f"pid {alive[0]['pid']} on {alive[0]['host']}"
        return [
            Check(
                "Beat",
                "ok",
                f"{where} ticked {alive[0]['seconds_since_tick']:.1f} s ago; last fired {fired}",
            )
        ]
    last = f"last tick {found[0]['seconds_since_tick']:,.0f} s ago" if found else "never ran"
    return [
        Check(
            "Beat",
            "problem",
            last,
            "start `python -m services.scheduler beat`; see logs/celery.log",
        )
    ]


def fires(context: CommandContext, task: str) -> Iterable[Check]:
    """When the schedules of a task fired last, and when they will."""
    try:
        found = [
            one for one in context.client.items("scheduler", "/v1/schedules") if one["task"] == task
        ]
    except SentinelIQError as error:
        return [Check("schedules", "problem", error.message, "mend the scheduler's API first")]
    if not found:
        return [Check("schedules", "ok", "none: it runs when something asks for it")]
    return [_schedule(context, one) for one in found]


def _schedule(context: CommandContext, schedule: Mapping[str, Any]) -> Check:
    subject = f"schedule {schedule['name']!r}"
    if not schedule["enabled"]:
        why = schedule["disabled_reason"] or "somebody switched it off"
        return Check(
            subject, "look", f"disabled: {why}", f"sentineliq schedules enable {schedule['name']!r}"
        )
    last = context.client.get("scheduler", f"/v1/schedules/{schedule['id']}/fires", limit=1)[
        "items"
    ]
    fired = (
        f"{last[0]['state']} {output.moment(last[0]['due_at'])}" if last else "has not fired yet"
    )
    return Check(subject, "ok", f"{fired}; next {output.moment(schedule['next_due_at'])}")


def last_run(settings: Settings, task: str) -> Check:
    """What the last run of a task on this machine came to, out of the workers' log."""
    path = settings.data_dir / "logs" / "celery.log"
    lines = [
        line
        for line in _tail(path)
        if f'"task": "{task}"' in line and '"event": "task.ended"' in line
    ]
    if not lines:
        return Check("last run", "look", f"none in {path}", "logs are on the machine of the worker")
    ended = json.loads(lines[-1])
    seen = f"{ended['time'][:19]}: {ended['state']} in {ended['seconds']} s: {output.as_json(ended['result'])}"
    if ended["state"] != "SUCCESS" or ended["result"].get("status") == "failed":
        return Check("last run", "look", seen, "logs/error.log has the details")
    return Check("last run", "ok", seen)


def _tail(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL))
        return file.read().decode("utf-8", "replace").splitlines()

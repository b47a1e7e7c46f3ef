"""Celery for all services: one factory, one task class, and settings that lose no work.

A queue message is a hint; the row it points to is the truth. Every message carries its tenant and
actor in headers, and the signature of its sender (`shared.runtime.task_signatures`).
docs/adr/0004-celery-settings.md gives the reason for each setting.
"""

import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from celery import Celery, Task, signals
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from opentelemetry.trace import SpanKind
from redis.exceptions import RedisError
from sqlalchemy import event
from sqlalchemy.orm import Session

from shared.database import PLATFORM
from shared.errors import InvalidInput, SentinelIQError, Unavailable, UpstreamError
from shared.runtime import firings, hints, pings
from shared.runtime.broker_login import broker_url
from shared.runtime.firings import TaskOutcome
from shared.runtime.process_title import set_process_title
from shared.runtime.queues import QUEUES
from shared.settings import Settings, load_settings
from shared.telemetry.logging import configure_logging, get_logger
from shared.telemetry.metrics import TASK_SECONDS
from shared.telemetry.tracing import WorkSpan, current_traceparent
from shared.tenants import is_tenant

log = get_logger(__name__)

BROKER_ERRORS: Final = (OperationalError, RedisError, OSError)
"""What sending raises while the broker is away, read-only, or out of memory."""

TIME_LIMIT: Final = 600
"""Seconds after which a task's process is killed; less than the broker's visibility timeout."""
_END_SECONDS: Final = 60
"""Seconds after its limit within which the end of a task is noted."""


CONCURRENCY: Final = {"feeds": 3, "notifications": 2, "observables": 2}
"""Tasks that a service's worker runs at once, if more than one: long lists, slow receivers and slow
providers must leave room for other tasks."""


def worker_concurrency(service: str, settings: Settings) -> int:
    """Return how many tasks one worker of a service runs at once."""
    return settings.worker_concurrency or CONCURRENCY.get(service, 1)


class ServiceTask(Task):
    """The base class of all tasks.

    A task knows its tenant and actor, is acknowledged after it ran, and returns a dictionary with a
    `status`. It is retried with growing, jittered pauses after `Unavailable`.
    """

    abstract = True
    Strategy = "shared.runtime.task_refusals:signed_strategy"
    acks_late = True
    reject_on_worker_lost = True
    max_retries = 5
    retry_backoff = 2
    retry_backoff_max = 300
    retry_jitter = True
    autoretry_for = (Unavailable,)

    @property
    def tenant(self) -> str:
        """The tenant this run works for; `*` for the platform."""
        tenant = self.request.get("tenant") or ""
        if tenant != PLATFORM and not is_tenant(tenant):
            raise InvalidInput(f"The message for {self.name} names no tenant.", field="tenant")
        return str(tenant)

    @property
    def actor(self) -> str:
        """The subject of the token that caused this run, or `system`."""
        return str(self.request.get("actor") or "system")


class _ServiceCelery(Celery):
    amqp_cls = "shared.runtime.task_signatures:SignedQueues"

    def task(self, *args: Any, **options: Any) -> Any:
        """Register a task with this app only; by default Celery shares it with every app."""
        return super().task(*args, **{"shared": False, **options})


def make_celery(service: str, include: Sequence[str] = ()) -> Celery:
    """Make a service's Celery app, which reads the environment when it is first used.

    Args:
        service: the service's name.
        include: the modules of its tasks. A worker imports them when it starts; a sender does not.
    """
    app = _ServiceCelery(service, task_cls=ServiceTask, set_as_current=False, include=list(include))
    app.add_defaults(lambda: _settings(service))

    @app.task(name=f"{service}.tasks.answer_ping", bind=True)
    def answer_ping(_self: ServiceTask) -> dict[str, str]:
        """Show that this worker takes messages and runs them."""
        pings.record()
        return {"status": "ok"}

    return app


def _settings(service: str) -> dict[str, Any]:
    queue = QUEUES[service]
    return {
        "broker_url": load_settings().celery_broker_url.get_secret_value(),
        # Celery prefers its own reading of CELERY_BROKER_URL to the setting above.
        "broker_read_url": broker_url(load_settings()),
        "broker_write_url": broker_url(load_settings()),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 30,
        "broker_transport_options": {
            "visibility_timeout": 900,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "health_check_interval": 4,
            "socket_keepalive": True,
            "socket_connect_timeout": 3,
            "socket_timeout": 5,
        },
        "task_default_queue": queue,
        "task_queues": [Queue(queue)],
        "task_create_missing_queues": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_time_limit": TIME_LIMIT,
        "task_soft_time_limit": TIME_LIMIT - 30,
        "worker_concurrency": worker_concurrency(service, load_settings()),
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_soft_shutdown_timeout": 5,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_max_tasks_per_child": 1000,
        "worker_max_memory_per_child": 256 * 1024,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
    }


def enqueue(
    app: Celery, name: str, *args: Any, tenant: str, actor: str = "system", queue: str | None = None
) -> str:
    """Send a task by name.

    Args:
        app: the sender's app.
        name: `<service>.tasks.<verb_noun>`.
        args: JSON values.
        tenant: the tenant that the task works for; `*` for the platform.
        actor: the subject of the token that caused it.
        queue: the target queue; by default that of the service which `name` begins with.

    Returns:
        The message's id.

    Raises:
        Unavailable: the broker does not answer or is full. The row stays; a sweep sends it again.
    """
    headers = {"tenant": tenant, "actor": actor, "traceparent": current_traceparent()}
    options = {
        "args": args,
        "headers": headers,
        "queue": queue or QUEUES[name.partition(".")[0]],
        "expires": hints.MESSAGE_SECONDS,
        "retry": False,
    }
    try:
        return str(app.send_task(name, **options).id)
    except BROKER_ERRORS as error:
        raise Unavailable(
            "The task queue does not answer; the work waits in the database."
        ) from error


def send_hint(app: Celery, name: str, *args: Any, tenant: str, actor: str = "system") -> bool:
    """Send a task that finds its work in rows, unless the same hint is outstanding.

    Args:
        app: the sender's app.
        name: `<service>.tasks.<verb_noun>`.
        args: JSON values.
        tenant: the tenant that the task works for; `*` for the platform.
        actor: the subject of the token that caused it.

    Returns:
        Whether it was sent.

    Raises:
        Unavailable: the broker does not answer or is full. The row stays; a sweep sends it again.
    """
    try:
        if not hints.mark(name, args):
            return False
    except RedisError as error:
        raise Unavailable(
            "The task queue does not answer; the work waits in the database."
        ) from error
    # A mark without a message runs out by itself.
    enqueue(app, name, *args, tenant=tenant, actor=actor)
    return True


def enqueue_best_effort(app: Celery, name: str, actor: str = "system") -> None:
    """Send a task that looks for rows to work on, and log a warning if the broker does not answer.

    The rows are not lost then: a sweep sends the message again.
    """
    try:
        send_hint(app, name, tenant=PLATFORM, actor=actor)
    except Unavailable as error:
        log.warning("worker.not_woken", task=name, reason=error.message)


def enqueue_after_commit(session: Session, app: Celery, name: str) -> None:
    """Send a task when the current transaction commits: once, even if this is called repeatedly."""
    if session.info.setdefault(name, False):
        return
    session.info[name] = True

    def send_on_commit(committed: Session) -> None:
        # SQLAlchemy reports the release of a savepoint as a commit too.
        if not committed.in_nested_transaction():
            enqueue_best_effort(app, name)

    event.listen(session, "after_commit", send_on_commit)


def retry_delay(
    error: UpstreamError | Unavailable, attempt: int, *, base: float = 2.0, cap: float = 300.0
) -> float:
    """Return the seconds until the next attempt of work that is a row.

    Args:
        error: its `retry_after` counts, if it has one.
        attempt: attempts so far.
        base: seconds; doubled with each attempt.
        cap: the longest pause, unless the error asks for more.
    """
    return float(error.retry_after or min(cap, base * 2**attempt))


@signals.worker_process_init.connect
def _on_pool_process_start(**_: object) -> None:
    settings = load_settings()
    service = structlog.contextvars.get_contextvars().get("service", "unknown")
    configure_logging(service, "worker", settings.data_dir, settings.log_level)
    set_process_title(service, "task")


@signals.task_prerun.connect
def _on_task_start(task_id: str, task: Task, **_: object) -> None:
    request = task.request
    request.span = WorkSpan(task.name, request.get("traceparent"), SpanKind.CONSUMER)
    request.span.start()
    _forget_hint(task)
    _note_begin(task_id, task)
    _note_outcome(task_id, task, TaskOutcome("running"), (task.time_limit or TIME_LIMIT))
    structlog.contextvars.bind_contextvars(
        task=task.name, task_id=task_id, tenant=request.get("tenant"), actor=request.get("actor")
    )
    request.started = time.perf_counter()
    if not _is_ping(task):
        log.info("task.started", attempt=request.retries)


def _is_ping(task: Task) -> bool:
    # One every few seconds says nothing in a log.
    return bool(task.name.endswith(".answer_ping"))


def _forget_hint(task: Task) -> None:
    """From here on the task may miss rows: the next one needs a hint of its own."""
    try:
        hints.unmark(task.name, tuple(task.request.args or ()))
    except RedisError as error:
        log.warning("hint.kept", task=task.name, reason=str(error))


def _note_begin(task_id: str, task: Task) -> None:
    if not task.request.get(firings.HEADER):
        return
    try:
        firings.note_begin(task_id, (task.time_limit or TIME_LIMIT) + _END_SECONDS)
    except RedisError as error:
        log.warning("firing.not_noted", task=task.name, reason=str(error))


def _note_end(task_id: str, task: Task, state: str, result: object) -> None:
    """Let the scheduler know that a firing's task has run; without a note it sends it again."""
    if not task.request.get(firings.HEADER) or state not in {"SUCCESS", "FAILURE"}:
        return
    try:
        if isinstance(result, Unavailable):  # after all its retries
            firings.forget(task_id)
        else:
            firings.note_end(task_id)
    except RedisError as error:
        log.warning("firing.not_noted", task=task.name, reason=str(error))


def _note_outcome(task_id: str, task: Task, outcome: TaskOutcome, seconds: float) -> None:
    """Let readers of a schedule's history know what became of the task."""
    if not task.request.get(firings.REPORTED_HEADER):
        return
    try:
        firings.note_outcome(task_id, outcome, seconds)
    except RedisError as error:
        log.warning("firing.not_noted", task=task.name, reason=str(error))


def _outcome_of(state: str, result: object) -> TaskOutcome | None:
    """The outcome of a task that has ended; None while it is to be tried again."""
    if state not in {"SUCCESS", "FAILURE"}:
        return None
    if state == "SUCCESS":
        return TaskOutcome("succeeded", run=_started_run(result))
    reason = result.message if isinstance(result, SentinelIQError) else type(result).__name__
    return TaskOutcome("failed", reason)


def _started_run(result: object) -> UUID | None:
    """The run that a task's result names."""
    run = result.get("run") if isinstance(result, dict) else None
    try:
        return UUID(run) if isinstance(run, str) else None
    except ValueError:
        return None


@signals.task_postrun.connect
def _on_task_end(task_id: str, task: Task, state: str, retval: object, **_: object) -> None:
    _note_end(task_id, task, state, retval)
    outcome = _outcome_of(state, retval)
    if outcome is not None:
        _note_outcome(task_id, task, outcome, firings.NOTE_SECONDS)
    seconds = time.perf_counter() - getattr(task.request, "started", time.perf_counter())
    TASK_SECONDS.labels(task.name, state).observe(seconds)
    result: dict[str, Any] = {}
    if isinstance(retval, dict):
        result = retval
    elif state != "SUCCESS":
        result = {"error": str(retval)}
    if not _is_ping(task):
        log.info("task.ended", state=state, seconds=round(seconds, 3), result=result)
    structlog.contextvars.unbind_contextvars("task", "task_id", "tenant", "actor")
    span: WorkSpan | None = getattr(task.request, "span", None)
    if span is not None:
        # Not the error's text: see `WorkSpan.__exit__`.
        span.end(error=None if state == "SUCCESS" else f"{state}: {type(retval).__name__}")

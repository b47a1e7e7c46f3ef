"""Messages that a worker refuses, and the audit's entry about them.

Whoever reaches the broker may put anything into a queue. A worker drops what nobody who may has
signed; a thread of it tells of them: a flood is one entry with a count, and at most one a minute.
"""

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from celery.worker.strategy import default
from prometheus_client import Counter

from shared.database import PLATFORM, PUBLIC, Database, database
from shared.errors import Unavailable, storable
from shared.kafka.outbox import audit
from shared.runtime.task_signatures import verify_message
from shared.signing import Unauthentic
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

TASKS_REFUSED: Final = Counter(
    "sentineliq_tasks_refused_total",
    "Messages of a queue that nobody who may send them has signed; they were dropped.",
    ["service"],
)
GATHER_SECONDS: Final = 2.0
"""From the first refusal to the entry, which counts those that come meanwhile."""
REPORT_SECONDS: Final = 60.0
"""At least so much time lies between two entries of one worker."""

_SHOWN: Final = 200


class TaskRefusals:
    """Counts what a worker refuses, and writes the audit's entries from a thread.

    Args:
        own: the database of the worker's service.
    """

    def __init__(self, own: Database) -> None:
        self._own = own
        self._lock = threading.Lock()
        self._count = 0
        self._details: dict[str, str] = {}
        self._is_running = False

    def add(self, headers: Mapping[str, Any], reason: str) -> None:
        """Count a message; the worker's loop calls it, and waits for nothing."""
        TASKS_REFUSED.labels(self._own.service).inc()
        with self._lock:
            self._count += 1
            if self._count > 1:
                return
            shown = {name: headers.get(name) for name in ("task", "id", "tenant", "actor")}
            self._details = {name: storable(str(text)[:_SHOWN]) for name, text in shown.items()}
            self._details["reason"] = storable(reason[:_SHOWN])
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._report, name="refusals", daemon=True).start()

    def _report(self) -> None:
        pause = threading.Event()
        pause.wait(GATHER_SECONDS)
        while True:
            try:
                self._write()
            except Unavailable as error:
                log.warning("refusals.not_recorded", reason=error.message)
            pause.wait(REPORT_SECONDS)
            with self._lock:
                if not self._count:
                    self._is_running = False
                    return

    def _write(self) -> None:
        with self._lock:
            count = self._count
            details = {"count": str(count), **self._details}
        service = self._own.service
        with self._own.transaction(PLATFORM) as session:
            names = (PUBLIC, f"{service} worker", "tasks.refuse", f"queue of {service}")
            audit(session, service, *names, None, **details)
        with self._lock:
            self._count -= count
        log.error("worker.messages_refused", **details)


@cache
def _refusals(service: str) -> TaskRefusals:
    return TaskRefusals(database(service))


def signed_strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Any:
    """Celery's strategy for a task, before which each message is verified."""
    handle = default(task, app, consumer, **options)
    service = str(app.main)

    def handle_signed(
        message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **others: Any
    ) -> Any:
        try:
            verify_message(service, message.headers or {}, message.body)
        except Unauthentic as error:
            ack(log, consumer.connection_errors)
            _refusals(service).add(message.headers or {}, error.message)
            return None
        return handle(message, body, ack, reject, callbacks, **others)

    return handle_signed

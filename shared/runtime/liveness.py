"""Whether a worker takes messages and runs them: it pings itself through the broker.

A process that exists may be deaf. A worker therefore consumes a queue of its own beside that of its
service, over the same connection, and a thread of it sends a ping task there. The worker is alive
if one of its children ran a ping lately, or if its event loop sees all of them at work: a worker
that is busy for hours takes no ping. While the broker does not accept pings nothing can be said,
and nothing is held against the worker. One that accepts no message for too long ends itself, so
that its supervisor starts another.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from celery import Celery
from celery.worker.state import active_requests
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.errors import Unavailable
from shared.runtime import pings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PING_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
"""Seconds without a ping that ran, while the broker accepts pings, after which a worker is dead."""


class WorkerLiveness:
    """The liveness of this worker process.

    Args:
        app: the service's Celery app.
        hostname: the worker's name, unique among all workers.
        give_up: called, from a thread, when the worker is dead.
    """

    def __init__(self, app: Celery, hostname: str, give_up: Callable[[], None]) -> None:
        self._app = app
        self._task = f"{app.main}.tasks.answer_ping"
        self._queue = f"ping.{hostname}"
        self._give_up = give_up
        # Times of the monotonic clock.
        self._alive_at = time.monotonic()
        self._busy_at = 0.0
        self._stopping = threading.Event()

    @property
    def queue(self) -> Queue:
        """The worker's own queue."""
        # The default exchange needs no binding, so that nothing of it stays in the broker.
        exchange = Exchange("")  # type: ignore[no-untyped-call]
        return Queue(  # type: ignore[no-untyped-call]
            self._queue, exchange, routing_key=self._queue, durable=False
        )

    def observe(self, children: int) -> None:
        """Note that all children are at work; the event loop calls it."""
        if len(active_requests) >= children:
            self._alive_at = time.monotonic()
            self._busy_at = self._alive_at

    @property
    def seconds(self) -> float:
        """Since the worker was last seen alive."""
        self._alive_at = max(self._alive_at, pings.last())
        return time.monotonic() - self._alive_at

    def check(self) -> None:
        """Require that the worker is alive, for the probe.

        Raises:
            Unavailable: it takes no messages, or does not run them.
        """
        seconds = self.seconds
        if seconds > SILENT_SECONDS:
            raise Unavailable(f"The worker has run no message for {seconds:.0f} s.")

    def start(self) -> None:
        """Send pings from a thread."""
        threading.Thread(target=self._run, name="liveness", daemon=True).start()

    def stop(self) -> None:
        """Send no more pings; what the worker does from now on is not judged."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(PING_SECONDS):
            if time.monotonic() - self._busy_at < PING_SECONDS:
                continue  # no child could run it: pings would pile up
            if not self._ping():
                # Silence proves nothing while no ping is on its way.
                self._alive_at = time.monotonic()
            elif self.seconds > SILENT_SECONDS and not self._stopping.is_set():
                log.critical("worker.deaf", seconds=round(self.seconds))
                self._give_up()

    def _ping(self) -> bool:
        """Send a ping; whether the broker has it."""
        try:
            self._app.send_task(
                self._task,
                headers={"tenant": "*", "actor": "system"},
                exchange="",
                routing_key=self._queue,
                expires=2 * SILENT_SECONDS,
                retry=False,
            )
        except (OperationalError, RedisError, OSError) as error:
            log.warning("ping.not_sent", reason=str(error))
            return False
        return True

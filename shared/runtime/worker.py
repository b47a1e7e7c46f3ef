"""A service's worker: Celery's, which ends when it cannot go on, and hands work back when it stops.

Celery answers an error that it does not know with an orderly stop, which waits for the tasks at
hand: for hours, while the process takes nothing. This worker ends within seconds instead. The
leases of its rows make that safe, and its supervisor starts another.
"""

import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from typing import Any, Final

import redis
from celery import Celery, signals
from celery.apps.worker import Worker
from celery.worker.control import inspect_command
from celery.worker.state import active_requests

from shared import shutdown
from shared.database import database
from shared.runtime import hints, pings
from shared.runtime.liveness import WorkerLiveness
from shared.runtime.probe import notify_ready, serve_probes
from shared.runtime.process_title import set_process_title
from shared.runtime.remote_control import limit_remote_control
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import multiprocess_registry

log = get_logger(__name__)

GRACE_SECONDS: Final = 3.0
"""For tasks to hand their rows back before a worker that cannot go on ends."""
_TICK_SECONDS: Final = 2.0


class ServiceWorker(Worker):  # type: ignore[misc]  # Celery is untyped
    """Celery's worker with two other ends."""

    def wait_for_soft_shutdown(self) -> None:
        """Let tasks hand their rows back; Celery calls it first when the worker is to stop."""
        shutdown.request()
        super().wait_for_soft_shutdown()

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        """Stop in order, or at once after an error that Celery does not know."""
        if exitcode:
            self.abort("Celery reported an error that it does not recover from.")
        super().stop(in_sighandler, exitcode)

    def abort(self, reason: str) -> None:
        """End this process and its children within the grace, with a non-zero exit code."""
        log.critical("worker.aborted", reason=reason)
        shutdown.request()
        if active_requests:
            time.sleep(GRACE_SECONDS)
        for pid in self._children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # What runs at an orderly exit does not run now.
        shutil.rmtree(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""), ignore_errors=True)
        # Not sys.exit: threads and handlers that hang must not keep the process.
        os._exit(1)

    def _children(self) -> list[int]:
        pool = getattr(getattr(self, "pool", None), "_pool", None)
        return [process.pid for process in getattr(pool, "_pool", [])]


def run_worker(service: str, app: Celery, settings: Settings) -> None:
    """Run a worker until a signal ends it.

    Args:
        service: the service's name.
        app: its Celery app.
        settings: the port of probes, the level of logs.
    """
    limit_remote_control()
    shutdown.share()
    pings.share()
    hostname = f"{service}-{os.getpid()}@{socket.gethostname()}"
    alive = WorkerLiveness(app, hostname, lambda: worker.abort("It takes no messages."))
    if settings.probe_port is not None:
        _serve_probes(service, settings.probe_port, alive)
    # Celery puts a queue without an exchange on its own, which would keep its binding for good.
    queue = alive.queue
    exchange = queue.exchange
    app.amqp.queues.select_add(queue).exchange = exchange
    worker = ServiceWorker(
        app=app,
        hostname=hostname,
        loglevel=settings.log_level,
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )

    def on_ready(sender: Any, **_: object) -> None:
        # Celery has set a title of its own by now.
        set_process_title(service, "worker")
        sender.timer.call_repeatedly(
            _TICK_SECONDS, lambda: alive.observe(sender.pool.num_processes)
        )
        alive.start()
        with suppress(redis.RedisError):  # the marks run out by themselves
            hints.forget_marks(service)
        notify_ready()

    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutting_down.connect(lambda **_: alive.stop(), weak=False)
    _alive.append(alive)
    worker.start()
    if worker.exitcode:
        raise SystemExit(worker.exitcode)


_alive: list[WorkerLiveness] = []


@inspect_command()  # type: ignore[untyped-decorator]  # Celery is untyped
def liveness_seconds(_state: object) -> dict[str, float]:
    """Answer how many seconds ago this worker was last seen alive."""
    return {"seconds": round(_alive[0].seconds, 1)} if _alive else {}


def _serve_probes(service: str, port: int, alive: WorkerLiveness) -> None:
    own = database(service)

    def check() -> None:
        alive.check()
        own.check()

    serve_probes(port, check, multiprocess_registry())

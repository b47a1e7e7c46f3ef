"""Mistakes that can be planted into a process, which tests and the fault matrix must notice.

The variable `SENTINELIQ_FAULT_MUTATION` names the mistake. No code of the platform knows of it:
`tests.faults.mutated` plants it into an installation, `tests.faults.mutations` into the processes
of a test run.
"""

import os
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

VARIABLE = "SENTINELIQ_FAULT_MUTATION"
_LATE_SECONDS = 0.3


def acknowledge_before_commit() -> None:
    """The offset row moves in a transaction of its own, before the effects are committed."""
    handler = import_module("shared.kafka.batch_handler").BatchHandler
    commit = handler.commit
    apply = handler._apply
    late = threading.local()

    def note(_self: Any, _session: Any, *arguments: Any) -> None:
        late.arguments = arguments

    def commit_first(self: Any, *arguments: Any) -> None:
        commit(self, *arguments)
        time.sleep(_LATE_SECONDS)
        with self._database.transaction("*") as session:
            apply(self, session, *late.arguments)

    handler._apply = note
    handler.commit = commit_first


def delete_before_acknowledgement() -> None:
    """The relay notes that it has sent rows before Kafka has them."""
    relay = import_module("shared.kafka.relay")

    async def send_carelessly(self: Any, connection: Any, producer: Any, rows: Any) -> int:
        for row in rows:
            await relay._send(producer, row)
        await self._note_published(connection, [row.id for row in rows])
        return len(rows)

    relay.Relay._send_together = send_carelessly


def stop_sweeping() -> None:
    """No sweep looks for rows whose message was lost."""
    import_module("shared.runtime.sweeps").SweepThreads.start = lambda _self: None


def trust_any_log() -> None:
    """No consumer compares its offset row with the log that it reads."""

    async def find_nothing(*_: object) -> None:
        return None

    import_module("shared.kafka.consumer").find_gap = find_nothing


def ignore_offset_row() -> None:
    """A consumer applies all that it has read, whatever its row says is applied."""
    batch_handler = import_module("shared.kafka.batch_handler")
    commit = batch_handler.BatchHandler.commit
    start = threading.local()

    class CarelessRow(batch_handler.OffsetRow):  # type: ignore[misc]  # it is any class here
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.last = start.position - 1

    def commit_carelessly(self: Any, key: Any, batch: Any, position: int) -> None:
        start.position = position
        commit(self, key, batch, position)

    batch_handler.OffsetRow = CarelessRow
    batch_handler.BatchHandler.commit = commit_carelessly


def share_connections() -> None:
    """A worker opens connections before it forks, and nothing makes its children forget them."""
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # as the preload does, before Celery is read
    os.register_at_fork = lambda **_: None
    worker = import_module("shared.runtime.worker")
    database = import_module("shared.database").database
    run_worker = worker.run_worker

    def connect_first(service: str, *arguments: Any) -> None:
        with database(service).transaction("*"):
            pass
        run_worker(service, *arguments)

    worker.run_worker = connect_first


def renew_no_lease() -> None:
    """Leases end while their work goes on."""
    import_module("shared.leases").LeaseKeeper._run = lambda _self: None


MUTATIONS: dict[str, Callable[[], None]] = {
    mutation.__name__: mutation
    for mutation in (
        acknowledge_before_commit,
        delete_before_acknowledgement,
        stop_sweeping,
        trust_any_log,
        ignore_offset_row,
        share_connections,
        renew_no_lease,
    )
}


def plant() -> None:
    """Plant the mistake that the environment names, if it names one."""
    if name := os.environ.get(VARIABLE):
        MUTATIONS[name]()

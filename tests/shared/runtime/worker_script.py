"""A worker of `feeds` with tasks that only write lines to a file: `python … FILE`."""

import os
import sys
import time
from pathlib import Path
from uuid import UUID

from services.mitre.imports import repository
from shared import shutdown
from shared.database import PUBLIC, database
from shared.runtime.celery import ServiceTask, make_celery
from shared.runtime.worker import run_worker
from shared.settings import load_settings
from shared.telemetry.logging import configure_logging

LINES = Path(sys.argv[1])

app = make_celery("feeds")
if "TEST_VISIBILITY_TIMEOUT" in os.environ:
    options = app.conf.broker_transport_options
    options["visibility_timeout"] = int(os.environ["TEST_VISIBILITY_TIMEOUT"])
    options["unacked_restore_interval"] = 1


def write(line: str) -> None:
    """Append a line."""
    with LINES.open("a") as file:
        file.write(f"{line}\n")


@app.task(name="feeds.tasks.write_line", bind=True)
def write_line(_self: ServiceTask, text: str) -> dict[str, str]:
    """Write a line at once."""
    write(text)
    return {"status": "ok"}


@app.task(name="feeds.tasks.work_long", bind=True, time_limit=7200, soft_time_limit=7100)
def work_long(_self: ServiceTask, text: str, seconds: float) -> dict[str, str]:
    """Work for some seconds, or until the worker is to stop."""
    write(f"{text} begins")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if shutdown.is_requested():
            write(f"{text} is handed back")
            return {"status": "handed-back"}
        time.sleep(0.05)
    write(f"{text} ends")
    return {"status": "ok"}


@app.task(name="feeds.tasks.work_leased", bind=True)
def work_leased(_self: ServiceTask, import_id: str, seconds: float) -> dict[str, str]:
    """Work on a leased row, unless another task has it."""
    own = database("mitre")
    with own.transaction(PUBLIC) as session:
        item = repository.claim_import(session, UUID(import_id))
    if item is None:
        write("skipped")
        return {"status": "skipped"}
    write("begins")
    time.sleep(seconds)
    write("ends")
    return {"status": "ok"}


if __name__ == "__main__":
    settings = load_settings()
    configure_logging("feeds", "worker", None, "INFO")
    run_worker("feeds", app, settings)

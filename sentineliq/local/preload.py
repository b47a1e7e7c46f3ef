"""Imported once, in the fork server: what service processes need, so that they share its memory and start sooner.

Nothing here may start a thread, open a connection or read a setting: every process inherits it. The services' tasks are
not among it: they listen to Celery's signals, and each worker would hear what concerns another service.
"""

import gc
import importlib
import os
from contextlib import suppress

MODULES = (
    "services.feeds.app",
    "services.mitre.app",
    "services.notifications.app",
    "services.observables.app",
    "services.scheduler.app",
    # What their other processes need beside that.
    "alembic.command",
    "alembic.ddl.postgresql",
    "celery.app.trace",
    "celery.apps.worker",
    "celery.beat",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "uvicorn.lifespan.on",
    "uvicorn.main",
    "uvloop",
    "shared.kafka.consumer",
    "shared.migrations",
    "shared.runtime.process",
)


# Celery and billiard read this when they are imported; `shared.runtime.process` wants it for its workers.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
# NumPy's algebra, which nobody needs here, would start threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Garbage collection writes into every object it visits; what is frozen it leaves alone, and so shared.
gc.disable()
for _name in MODULES:
    # Sharing saves memory and time, no more: who needs what cannot be imported will say so.
    with suppress(Exception):
        importlib.import_module(_name)
gc.collect()
gc.freeze()
gc.enable()

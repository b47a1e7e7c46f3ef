"""Imports what service processes need, once, in the fork server.

The processes share its memory and start sooner. Nothing here may start a thread, open a connection
or read a setting: every process inherits it. The services' tasks are not imported: they listen to
Celery's signals, and each worker would react to signals of another service.
"""

import gc
import importlib
import os
from contextlib import suppress

MODULES = (
    "services.feeds.app",
    "services.gateway.app",
    "services.mitre.app",
    "services.notifications.app",
    "services.observables.app",
    "services.scheduler.app",
    # The services' other processes need these as well.
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
    # Each process writes its log by it.
    "concurrent_log_handler",
    "shared.kafka.consumer",
    "shared.migrations",
    "shared.runtime.process",
)


# Celery and billiard read this when they are imported; the workers need it.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
# NumPy's linear algebra, which is not used, would start threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Garbage collection writes into every object that it visits and so unshares it, unless frozen.
gc.disable()
for _name in MODULES:
    # Preloading only saves memory and time: a process that needs the module reports the error.
    with suppress(Exception):
        importlib.import_module(_name)
gc.collect()
gc.freeze()
gc.enable()

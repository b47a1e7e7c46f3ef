"""Imported once, in the fork server: what most service processes need, so that they share its memory.

Nothing here may start a thread, open a connection or read a setting: every process inherits it.
"""

import gc
import importlib
import os
from contextlib import suppress

MODULES = (
    "alembic.command",
    "alembic.ddl.postgresql",
    "aiokafka",
    "aiokafka.admin",
    "celery.app.builtins",
    "celery.app.trace",
    "celery.apps.worker",
    "celery.beat",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.consumer",
    "fastapi",
    "joserfc.jwt",
    "kombu.transport.redis",
    "psycopg_pool",
    "redis",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.orm",
    "uvicorn.lifespan.on",
    "uvicorn.main",
    "uvicorn.protocols.http.h11_impl",
    "uvloop",
    "shared.api",
    "shared.celery",
    "shared.events",
    "shared.http",
    "shared.kafka.consumer",
    "shared.kafka.outbox",
    "shared.migrations",
    "shared.process",
    "shared.stix",
)


# Celery and billiard read this when they are imported; `shared.process` wants it for its workers.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
# Garbage collection writes into every object it visits; what is frozen it leaves alone, and so shared.
gc.disable()
for _name in MODULES:
    # Sharing saves memory and time, no more: who needs what cannot be imported will say so.
    with suppress(ImportError):
        importlib.import_module(_name)
gc.collect()
gc.freeze()
gc.enable()

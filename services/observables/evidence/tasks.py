"""Celery tasks of evidence about sources."""

from dataclasses import asdict
from typing import Any, Final

from services.observables import NAME
from services.observables.evidence.quality import learn_sources
from services.observables.evidence.service import measure_sources as measure_all
from services.observables.worker import celery
from shared.database import Database, database
from shared.runtime.celery import ServiceTask
from shared.runtime.sweeps import Sweep, run_sweep

_TIME_LIMIT: Final = 880


@celery.task(
    name="observables.tasks.measure_sources",
    bind=True,
    time_limit=_TIME_LIMIT,
    soft_time_limit=_TIME_LIMIT - 30,
)
def measure_sources(_self: ServiceTask) -> dict[str, Any]:
    """Measure which sources copy others, and learn which are right; two never run at once."""
    result: dict[str, Any] = {"status": "failed"}

    def run(own: Database) -> None:
        result.update(asdict(measure_all(own)))
        result.update({"status": "ok", **asdict(learn_sources(own))})

    work = Sweep("source-evidence", 0.0, run, longest=_TIME_LIMIT)
    if not run_sweep(database(NAME), work):
        return {"status": "skipped"}
    return result

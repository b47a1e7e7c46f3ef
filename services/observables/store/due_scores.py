"""Scores that are due by time: they are computed again, and published when they are news."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from services.observables.store import rescore
from services.observables.store.repository import upkeep, write
from services.observables.store.set_aside import apply_isolated
from services.observables.worker import celery
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.runtime.celery import enqueue_best_effort
from shared.stix import bucket

CHECK_DUE: Final = "observables.tasks.check_due"
_WORK: Final = "check_due"


@dataclass(slots=True)
class DueReport:
    """How many scores were computed again, and how many changes were published."""

    computed: int = 0
    published: int = 0


def check_due(database: Database, limit: int = 5_000, seconds: float = 10.0) -> DueReport:
    """Compute due scores again, the oldest first, `limit` at a time.

    It stops after `seconds`; the next call continues.
    """
    report = DueReport()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with database.transaction(PLATFORM) as session:
            due = upkeep.due_ids(session, limit)
        _rescore(database, due, report)
        if sum(map(len, due.values())) < limit:
            break
    return report


def wake_if_due(database: Database) -> int:
    """Ask a worker to compute due scores again, if there are any; whether there are."""
    with database.transaction(PLATFORM) as session:
        is_due = bool(upkeep.due_ids(session, 1))
    if is_due:
        enqueue_best_effort(celery, CHECK_DUE)
    return int(is_due)


def _rescore(database: Database, due: Mapping[str, Sequence[str]], report: DueReport) -> None:
    """Compute scores again, each bucket of a tenant in a transaction of its own."""
    for tenant, ids in due.items():
        by_bucket: dict[int, list[str]] = defaultdict(list)
        for identity in ids:
            by_bucket[bucket(identity)].append(identity)
        for number, ids_of_bucket in sorted(by_bucket.items()):
            work = partial(_rescore_bucket, tenant, number)
            postpone = partial(_postpone, tenant)
            report.published += apply_isolated(
                database, tenant, ids_of_bucket, _WORK, work, postpone
            )
            report.computed += len(ids_of_bucket)


def _rescore_bucket(tenant: str, number: int, session: Session, ids: Sequence[str]) -> int:
    """Compute scores of one bucket again; how many changes were published."""
    now = database_now(session)
    write.lock(session, [number])
    changes = rescore.rescore(session, tenant, ids, now)
    rescore.publish_changes(session, tenant, changes, "time")
    return len(changes)


def _postpone(tenant: str, session: Session, identity: str, failures: int) -> None:
    """A score that cannot be computed is tried again later and later, at least once a day."""
    upkeep.postpone_due(session, tenant, identity, min(failures, 24))

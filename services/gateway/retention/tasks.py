"""The task that deletes rows whose retention is over."""

from typing import Any

from services.gateway import NAME
from services.gateway.retention.policies import POLICIES
from services.gateway.worker import celery
from shared.database import database
from shared.retention import prune
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="gateway.tasks.prune_tables", bind=True)
def prune_tables(_self: ServiceTask) -> dict[str, Any]:
    """Delete the rows of all tables whose retention is over, batch by batch."""
    return prune(database(NAME), load_settings(), POLICIES).as_dict()

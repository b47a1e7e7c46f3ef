"""The API that wakes a worker when somebody asks for it."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from services.observables.enrichment.queues.wakeup import wake_if_due
from shared.auth import Principal
from shared.web.app import database_of, require_permission
from shared.web.audit import record_request

router = APIRouter(prefix="/v1", tags=["observables"])


@router.post("/reconcile")
def reconcile(
    request: Request, principal: Annotated[Principal, require_permission("platform:reconcile")]
) -> dict[str, Any]:
    """Wake a worker when provider queries are due, in case the queue lost its message."""
    database = database_of(request)
    enqueued = wake_if_due(database, principal.actor)
    record_request(database, principal, "observables.reconcile", "jobs", enqueued=str(enqueued))
    return {"status": "ok", "enqueued": enqueued}

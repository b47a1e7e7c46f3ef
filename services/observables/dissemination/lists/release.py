"""Releasing a list that was stopped: a person has looked at it."""

from uuid import UUID

from services.observables import NAME as SERVICE
from services.observables.dissemination.lists import repository
from services.observables.dissemination.lists.news import released_event
from services.observables.dissemination.lists.schemas import ListView
from services.observables.dissemination.lists.service import view
from shared.database import Database
from shared.errors import Conflict, NotFound
from shared.kafka.outbox import audit, publish


def release_list(database: Database, tenant: str, actor: str, list_id: UUID) -> ListView:
    """Let the newest version of a stopped list leave; its size is normal from now on.

    Raises:
        NotFound: the tenant has no such list.
        Conflict: the list is not stopped.
    """
    with database.transaction(tenant) as session:
        before = repository.lock(session, tenant, list_id)
        if before is None:
            raise NotFound(f"There is no list {list_id} in this tenant.")
        if before.state != "held":
            raise Conflict("This list is not held.")
        values = {
            "state": "active",
            "held_reason": "",
            "held_at": None,
            "published_number": before.last_change_number,
            "baseline": before.members,
            "baseline_at": repository.NOW,
        }
        row = repository.change(session, tenant, list_id, values) or before
        audit(session, SERVICE, tenant, actor, "lists.release", list_id, reason=before.held_reason)
        publish(session, [released_event(row)])
        return view(row, repository.refusals(session, [list_id]).get(list_id, {}))

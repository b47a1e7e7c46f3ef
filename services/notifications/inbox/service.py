"""The inbox: list its messages, and mark them as read. Each actor has marks of their own."""

from typing import Final
from uuid import UUID

from services.notifications.inbox import repository
from services.notifications.inbox.schemas import InboxCount, InboxItem
from shared.auth import Principal
from shared.database import Database
from shared.errors import NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate

MAX_MARKED: Final = 10_000
"""Messages that one request marks."""


def list_inbox(
    database: Database,
    principal: Principal,
    after: str | None,
    limit: int,
    *,
    only_unread: bool = False,
) -> Page[InboxItem]:
    """Messages, newest first."""
    position = decode_cursor(after, tuple[UUID])
    before = position[0] if position else None
    with database.transaction(principal.tenant) as session:
        rows = repository.list_items(
            session,
            principal.tenant,
            principal.actor,
            before,
            limit + 1,
            only_unread=only_unread,
        )
    return paginate(rows, limit, lambda row: (row.id,)).map(InboxItem.model_validate)


def count_unread(database: Database, principal: Principal) -> InboxCount:
    """How many messages the actor has not read."""
    with database.transaction(principal.tenant) as session:
        count = repository.count_unread(session, principal.tenant, principal.actor)
    return InboxCount(count=count)


def mark_message(database: Database, principal: Principal, delivery_id: UUID) -> InboxCount:
    """Mark a message as read; repeated, it changes nothing.

    Raises:
        NotFound: the inbox has no such message.
    """
    tenant = principal.tenant
    with database.transaction(tenant) as session:
        if not repository.exists(session, tenant, principal.actor, delivery_id):
            raise NotFound(f"There is no message {delivery_id} in the inbox.")
        count = repository.mark(session, tenant, principal.actor, 1, delivery_id=delivery_id)
        if count:
            audit(
                session,
                "notifications",
                tenant,
                principal.actor,
                "notifications.inbox.read",
                delivery_id,
            )
    return InboxCount(count=count)


def mark_all(database: Database, principal: Principal, until: UUID) -> InboxCount:
    """Mark all messages up to one as read, 10,000 at most."""
    tenant = principal.tenant
    with database.transaction(tenant) as session:
        count = repository.mark(session, tenant, principal.actor, MAX_MARKED, until=until)
        if count:
            audit(
                session,
                "notifications",
                tenant,
                principal.actor,
                "notifications.inbox.read",
                until,
                count=str(count),
            )
    return InboxCount(count=count)

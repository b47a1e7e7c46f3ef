"""Routes of quiet hours."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from services.notifications.quiet_hours import service
from services.notifications.quiet_hours.schemas import QuietHoursBody, QuietHoursView
from shared.auth import Principal
from shared.database import Database
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]

router = APIRouter(prefix="/v1/channels/{channel_id}/quiet-hours", tags=["channels"])


@router.get("")
def get_quiet_hours(principal: Reader, database: OwnDatabase, channel_id: UUID) -> QuietHoursView:
    """When the channel's receiver wants no notifications."""
    return service.get_quiet_hours(database, principal, channel_id)


@router.put("")
def set_quiet_hours(
    principal: Writer, database: OwnDatabase, channel_id: UUID, body: QuietHoursBody
) -> QuietHoursView:
    """Set them. What they hold is summed up once when they end."""
    return service.set_quiet_hours(database, principal, channel_id, body)


@router.delete("", status_code=204)
def delete_quiet_hours(principal: Writer, database: OwnDatabase, channel_id: UUID) -> None:
    """Remove them. What is held now stays so until their end."""
    service.delete_quiet_hours(database, principal, channel_id)

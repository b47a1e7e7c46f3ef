"""Routes of a person's sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from services.gateway.sessions import service
from services.gateway.sessions.schemas import EndedSessions, SessionView
from shared.auth import Principal
from shared.database import Database
from shared.web.app import database_of, require_permission

Person = Annotated[Principal, require_permission("account:use")]
OwnDatabase = Annotated[Database, Depends(database_of)]

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.get("")
def list_sessions(principal: Person, database: OwnDatabase) -> list[SessionView]:
    """Your open sessions, newest first."""
    return service.list_own(database, principal)


@router.delete("")
def end_all_sessions(principal: Person, database: OwnDatabase) -> EndedSessions:
    """End all your sessions, this one too."""
    return EndedSessions(ended=service.end_all_own(database, principal))


@router.delete("/{session_id}", status_code=204)
def end_session(principal: Person, database: OwnDatabase, session_id: UUID) -> None:
    """End one of your sessions."""
    service.end_own(database, principal, session_id)

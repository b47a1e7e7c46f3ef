"""Routes of signed addresses. They ask for no token of the API: the address is signed.

GET shows a page and changes nothing, since mail scanners follow every address. POST acts; mail
readers post for one-click unsubscribing (RFC 8058).
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from services.notifications.links import service
from services.notifications.links.pages import HEADERS, end_page, question_page
from services.notifications.signed_links import PATH
from shared.database import Database
from shared.settings import Settings
from shared.web.app import database_of


def _settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


OwnDatabase = Annotated[Database, Depends(database_of)]
OwnSettings = Annotated[Settings, Depends(_settings_of)]
Token = Annotated[str, Query(max_length=1000, description="Of the address; without it: 401.")]

router = APIRouter(tags=["links"])


@router.get(PATH, response_class=HTMLResponse)
def show_link(database: OwnDatabase, settings: OwnSettings, token: Token = "") -> HTMLResponse:
    """Show what a signed address does; nothing is changed."""
    link = service.open_link(database, settings, token)
    return HTMLResponse(question_page(link, token), headers=HEADERS)


@router.post(PATH, response_class=HTMLResponse)
def follow_link(database: OwnDatabase, settings: OwnSettings, token: Token = "") -> HTMLResponse:
    """Acknowledge the group, or switch the channel off, that a signed address names."""
    link = service.follow_link(database, settings, token)
    return HTMLResponse(end_page(link), headers=HEADERS)

"""The inbox: messages that are read in the product, and how many a person has not read."""

import asyncio
from typing import Final

from starlette.responses import Response

from services.gateway.console.visits import ConsoleVisit, Screen

_PAGE: Final = 50
_HERE: Final = "/notifications/inbox"


async def show_inbox(visit: ConsoleVisit) -> Response:
    """Messages, newest first; those that are not read, unless the address says all."""
    is_all = visit.query("all") == "yes"
    answer, count = await asyncio.gather(
        visit.get(
            "notifications",
            "/v1/inbox",
            unread=None if is_all else "true",
            after=visit.query("after"),
            limit=_PAGE,
        ),
        visit.get("notifications", "/v1/inbox/count"),
    )
    return visit.page(
        "inbox.html",
        fragment="messages",
        answer=answer,
        count=(count.document or {}).get("count", 0),
        is_all=is_all,
    )


async def mark_all(visit: ConsoleVisit) -> Response:
    """Mark all messages up to the newest that the page has shown as read."""
    until = visit.form.text("until")
    answer = await visit.post("notifications", "/v1/inbox/read", until=until)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(_HERE, done="read")


async def mark_message(visit: ConsoleVisit) -> Response:
    """Mark one message as read, and acknowledge its group if the form says so."""
    message_id = visit.place("message_id")
    answer = await visit.post("notifications", f"/v1/inbox/{message_id}/read")
    group_id = visit.form.text("group")
    if answer.refusal is None and group_id:
        answer = await visit.post("notifications", f"/v1/groups/{group_id}/acknowledge")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(_HERE, done="acknowledged" if group_id else "read")


SCREENS: Final = [
    Screen("GET", _HERE, show_inbox),
    Screen("POST", _HERE, mark_all),
    Screen("POST", f"{_HERE}/{{message_id}}", mark_message),
]

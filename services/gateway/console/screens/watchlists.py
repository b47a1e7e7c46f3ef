"""Watchlists: values, networks, domains and brands of your own that filters refer to."""

import asyncio
from typing import Final

from starlette.responses import Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_HERE: Final = "/notifications/watchlists"
_FIELDS: Final = ("name", "description", "csv", "entries")


async def show_watchlists(visit: ConsoleVisit) -> Response:
    """Watchlists by name, and the form of a new one."""
    return await _watchlists_page(visit)


async def _watchlists_page(visit: ConsoleVisit, refusal: ApiRefusal | None = None) -> Response:
    answer = await visit.get(
        "notifications", "/v1/watchlists", after=visit.query("after"), limit=_PAGE
    )
    return visit.page(
        "watchlists.html",
        status=422 if refusal else 200,
        answer=answer,
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
    )


async def save_watchlist(visit: ConsoleVisit) -> Response:
    """Create an empty watchlist."""
    form = visit.form
    body: Json = {"name": form.text("name"), "description": form.text("description")}
    answer = await visit.post("notifications", "/v1/watchlists", body)
    if answer.refusal is not None:
        return await _watchlists_page(visit, answer.refusal)
    return visit.moved(f"{_HERE}/{answer.document['id']}", done="saved")


async def show_watchlist(visit: ConsoleVisit) -> Response:
    """One watchlist and its entries."""
    return await _watchlist_page(visit)


async def _watchlist_page(visit: ConsoleVisit, refusal: ApiRefusal | None = None) -> Response:
    path = f"/v1/watchlists/{visit.place('watchlist_id')}"
    watchlist, entries = await asyncio.gather(
        visit.get("notifications", path),
        visit.get("notifications", f"{path}/entries", after=visit.query("after"), limit=_PAGE),
    )
    if watchlist.refusal is not None:
        return visit.refused(watchlist.refusal)
    return visit.page(
        "watchlist.html",
        status=422 if refusal else 200,
        watchlist=watchlist.document,
        entries=entries,
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
    )


async def act_on_watchlist(visit: ConsoleVisit) -> Response:
    """Add entries as rows of CSV, remove one, or delete the watchlist."""
    form = visit.form
    here = f"{_HERE}/{visit.place('watchlist_id')}"
    path = f"/v1/watchlists/{visit.place('watchlist_id')}"
    act = visit.place("act")
    if act == "add":
        body: Json = {"csv": form.raw("csv"), "replace": form.flag("replace")}
        answer = await visit.post("notifications", f"{path}/import", body)
    elif act == "remove":
        entry = {"value": form.raw("value"), "kind": form.text("kind")}
        answer = await visit.post("notifications", f"{path}/entries/remove", {"entries": [entry]})
    elif act == "delete":
        answer = await visit.delete("notifications", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return await _watchlist_page(visit, answer.refusal)
    if act == "delete":
        return visit.moved(_HERE, done="deleted")
    return visit.moved(here, done="saved")


SCREENS: Final = [
    Screen("GET", _HERE, show_watchlists),
    Screen("POST", _HERE, save_watchlist),
    Screen("GET", f"{_HERE}/{{watchlist_id}}", show_watchlist),
    Screen("POST", f"{_HERE}/{{watchlist_id}}/{{act}}", act_on_watchlist),
]

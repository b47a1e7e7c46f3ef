"""Digests: rules that name one are told of in it, at its times, in one message."""

import asyncio
from typing import Final

from starlette.responses import Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_HERE: Final = "/notifications/digests"
_FIELDS: Final = ("name", "cron", "timezone", "channel_ids")


async def show_digests(visit: ConsoleVisit) -> Response:
    """Digests by name, and the form of a new one."""
    return await _digests_page(visit)


async def _digests_page(visit: ConsoleVisit, refusal: ApiRefusal | None = None) -> Response:
    answer, channels = await asyncio.gather(
        visit.get("notifications", "/v1/digests", after=visit.query("after"), limit=_PAGE),
        visit.get("notifications", "/v1/channels", limit=1000),
    )
    return visit.page(
        "digests.html",
        status=422 if refusal else 200,
        answer=answer,
        channels=channels,
        names={channel["id"]: channel["name"] for channel in channels.items},
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
    )


async def save_digest(visit: ConsoleVisit) -> Response:
    """Create a digest."""
    form = visit.form
    body: Json = {"name": form.text("name"), "cron": form.text("cron")}
    body["timezone"] = form.text("timezone", "UTC") or "UTC"
    body["channel_ids"] = form.texts("channel")
    answer = await visit.post("notifications", "/v1/digests", body)
    if answer.refusal is not None:
        return await _digests_page(visit, answer.refusal)
    return visit.moved(_HERE, done="saved")


async def act_on_digest(visit: ConsoleVisit) -> Response:
    """Pause, resume or delete a digest."""
    path = f"/v1/digests/{visit.place('digest_id')}"
    act = visit.place("act")
    if act in {"pause", "resume"}:
        answer = await visit.patch("notifications", path, {"enabled": act == "resume"})
    elif act == "delete":
        answer = await visit.delete("notifications", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return await _digests_page(visit, answer.refusal)
    return visit.moved(_HERE, done="deleted" if act == "delete" else "saved")


SCREENS: Final = [
    Screen("GET", _HERE, show_digests),
    Screen("POST", _HERE, save_digest),
    Screen("POST", f"{_HERE}/{{digest_id}}/{{act}}", act_on_digest),
]

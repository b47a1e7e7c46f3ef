"""Notifications: open groups, channels with a test, and deliveries with their attempts."""

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_STATES: Final = ("pending", "delivering", "delivered", "failed", "held", "silenced")


async def show_groups(visit: ConsoleVisit) -> Response:
    """Groups; the open ones, unless the address says all."""
    is_all = visit.query("all") == "yes"
    answer = await visit.get(
        "notifications",
        "/v1/groups",
        open=None if is_all else "true",
        rule_id=visit.query("rule"),
        after=visit.query("after"),
        limit=_PAGE,
    )
    return visit.page(
        "groups.html", fragment="table", answer=answer, is_all=is_all, rule=visit.query("rule")
    )


async def show_group(visit: ConsoleVisit) -> Response:
    """One group, and what came together in it."""
    path = f"/v1/groups/{visit.place('group_id')}"
    group, batches = await asyncio.gather(
        visit.get("notifications", path),
        visit.get("notifications", f"{path}/batches", limit=_PAGE, after=visit.query("after")),
    )
    if group.refusal is not None:
        return visit.refused(group.refusal)
    return visit.page("group.html", group=group.document, batches=batches)


async def act_on_group(visit: ConsoleVisit) -> Response:
    """Acknowledge or close a group."""
    act = visit.place("act")
    if act not in {"acknowledge", "close"}:
        raise InvalidInput("There is no such act.", field="act")
    group_id = visit.place("group_id")
    answer = await visit.post("notifications", f"/v1/groups/{group_id}/{act}")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    done = "acknowledged" if act == "acknowledge" else "saved"
    return visit.moved(f"/notifications/groups/{group_id}", done=done)


async def show_channels(visit: ConsoleVisit) -> Response:
    """Channels, and the form of a new one."""
    return await _channels_page(visit, None)


async def _channels_page(
    visit: ConsoleVisit, refusal: ApiRefusal | None, **context: Any
) -> Response:
    answer = await visit.get("notifications", "/v1/channels", limit=_PAGE)
    return visit.page(
        "channels.html",
        status=422 if refusal else 200,
        **{
            "answer": answer,
            "form": visit.form,
            "refusal": refusal,
            "issued": None,
            "outcome": None,
            **context,
        },
    )


async def save_channel(visit: ConsoleVisit) -> Response:
    """Create a channel; its signing secret shows once."""
    form = visit.form
    body: Json = {"name": form.text("name"), "kind": form.text("kind")}
    try:
        body["config"] = _config(form.text("config"), form.text("url"))
    except InvalidInput as error:
        refusal = ApiRefusal("gateway", 422, error.code, error.message, "config")
        return await _channels_page(visit, refusal)
    if form.text("secret"):
        body["secret"] = form.text("secret")
    answer = await visit.post("notifications", "/v1/channels", body)
    if answer.refusal is not None:
        return await _channels_page(visit, answer.refusal)
    return await _channels_page(visit, None, issued=answer.document)


def _config(text: str, url: str) -> Json:
    if not text:
        return {"url": url} if url else {}
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise InvalidInput('Settings: write a JSON object, such as {"url": "https://…"}.')
    return {"url": url, **config} if url else config


async def act_on_channel(visit: ConsoleVisit) -> Response:
    """Test, pause, resume or delete a channel."""
    path = f"/v1/channels/{visit.place('channel_id')}"
    act = visit.place("act")
    if act == "test":
        answer = await visit.post("notifications", f"{path}/test")
        if answer.refusal is None:
            return await _channels_page(visit, None, outcome=answer.document)
    elif act in {"pause", "resume"}:
        answer = await visit.patch("notifications", path, {"enabled": act == "resume"})
    elif act == "delete":
        answer = await visit.delete("notifications", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return await _channels_page(visit, answer.refusal)
    return visit.moved("/notifications/channels", done="deleted" if act == "delete" else "saved")


async def show_deliveries(visit: ConsoleVisit) -> Response:
    """Deliveries, newest first."""
    state = visit.query("state")
    answer = await visit.get(
        "notifications",
        "/v1/deliveries",
        state=state,
        rule_id=visit.query("rule"),
        after=visit.query("after"),
        limit=_PAGE,
    )
    return visit.page(
        "deliveries.html",
        fragment="table",
        answer=answer,
        state={"state": state, "rule": visit.query("rule")},
        states=_STATES,
    )


async def show_delivery(visit: ConsoleVisit) -> Response:
    """One delivery, with every attempt."""
    answer = await visit.get("notifications", f"/v1/deliveries/{visit.place('delivery_id')}")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.page("delivery.html", delivery=answer.document)


async def repeat_delivery(visit: ConsoleVisit) -> Response:
    """Try a failed delivery again, or send it once more."""
    delivery_id = visit.place("delivery_id")
    act = "retry" if visit.place("act") == "retry" else "replay"
    body: Json | None = None if act == "retry" else {}
    answer = await visit.post("notifications", f"/v1/deliveries/{delivery_id}/{act}", body)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(f"/notifications/deliveries/{delivery_id}", done="replayed")


SCREENS: Final = [
    Screen("GET", "/notifications", show_groups),
    Screen("GET", "/notifications/groups/{group_id}", show_group),
    Screen("POST", "/notifications/groups/{group_id}/{act}", act_on_group),
    Screen("GET", "/notifications/channels", show_channels),
    Screen("POST", "/notifications/channels", save_channel),
    Screen("POST", "/notifications/channels/{channel_id}/{act}", act_on_channel),
    Screen("GET", "/notifications/deliveries", show_deliveries),
    Screen("GET", "/notifications/deliveries/{delivery_id}", show_delivery),
    Screen("POST", "/notifications/deliveries/{delivery_id}/{act}", repeat_delivery),
]

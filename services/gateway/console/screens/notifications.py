"""Notifications: open groups, and deliveries with their attempts."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_STATES: Final = (
    "queued",
    "sending",
    "retrying",
    "unknown",
    "delivered",
    "failed",
    "held",
    "silenced",
)
"""What the filter of deliveries offers: the phases, and the states of old addresses."""
_STATE_OF: Final = {
    "queued": "pending",
    "retrying": "pending",
    "sending": "delivering",
    "unknown": "delivering",
}
"""By phase, the state by which the API filters."""


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


async def show_deliveries(visit: ConsoleVisit) -> Response:
    """Deliveries, newest first."""
    state = visit.query("state")
    answer = await visit.get(
        "notifications",
        "/v1/deliveries",
        state=_STATE_OF.get(state, state),
        rule_id=visit.query("rule"),
        after=visit.query("after"),
        limit=_PAGE,
    )
    items: list[Any] = [
        item for item in answer.items if state not in _STATE_OF or item["phase"] == state
    ]
    return visit.page(
        "deliveries.html",
        fragment="table",
        answer=answer,
        items=items,
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
    Screen("GET", "/notifications/deliveries", show_deliveries),
    Screen("GET", "/notifications/deliveries/{delivery_id}", show_delivery),
    Screen("POST", "/notifications/deliveries/{delivery_id}/{act}", repeat_delivery),
]

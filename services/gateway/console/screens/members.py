"""Members of the tenant, invitations, API keys, and a person's own sessions."""

import asyncio
from typing import Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.auth import PERMISSIONS, Role
from shared.errors import InvalidInput

_PAGE: Final = 200
_KEY_DAYS: Final = 90
_KEY_FIELDS: Final = ("name", "role", "days", "networks", "scopes")
_PATHS: Final = {
    "members": "/v1/members/",
    "invitations": "/v1/invitations/",
    "api-keys": "/v1/api-keys/",
    "sessions": "/v1/sessions/",
}
"""By kind, where an item of it can be ended."""


async def show_members(visit: ConsoleVisit) -> Response:
    """Who belongs to the tenant, and who is invited."""
    return await _members_page(visit, None)


async def _members_page(visit: ConsoleVisit, answer: Answer | None) -> Response:
    members, invitations = await asyncio.gather(
        visit.get("gateway", "/v1/members", limit=_PAGE, after=visit.query("after")),
        visit.get("gateway", "/v1/invitations", limit=_PAGE),
    )
    refusal = answer.refusal if answer else None
    return visit.page(
        "members.html",
        status=422 if refusal else 200,
        members=members,
        invitations=invitations,
        form=visit.form,
        refusal=refusal,
        link=answer.document["link"] if answer and not refusal else None,
        roles=[role.name for role in Role if role <= visit.principal.role],
    )


async def invite(visit: ConsoleVisit) -> Response:
    """Invite somebody; the link shows once."""
    body: Json = {"role": visit.form.text("role")}
    if visit.form.text("login"):
        body["login"] = visit.form.text("login")
    return await _members_page(visit, await visit.post("gateway", "/v1/invitations", body))


async def change_member(visit: ConsoleVisit) -> Response:
    """Give a member another role, freeze or thaw the account, or make a link for a new password."""
    path = f"/v1/members/{visit.place('person_id')}"
    act = visit.form.text("act")
    if act == "reset":
        return await _members_page(visit, await visit.post("gateway", f"{path}/reset"))
    if act in {"freeze", "thaw"}:
        answer = await visit.patch("gateway", path, {"frozen": act == "freeze"})
    else:
        answer = await visit.patch("gateway", path, {"role": visit.form.text("role")})
    if answer.refusal is not None:
        return await _members_page(visit, answer)
    return visit.moved("/administration/members", done="saved")


async def show_access(visit: ConsoleVisit) -> Response:
    """A person's own sessions and API keys."""
    return await _access_page(visit, None)


async def _access_page(visit: ConsoleVisit, answer: Answer | None) -> Response:
    sessions, keys = await asyncio.gather(
        visit.get("gateway", "/v1/sessions"),
        visit.get("gateway", "/v1/api-keys", limit=_PAGE, after=visit.query("after")),
    )
    refusal = answer.refusal if answer else None
    return visit.page(
        "access.html",
        status=422 if refusal else 200,
        sessions=sessions,
        keys=keys,
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_KEY_FIELDS),
        key=answer.document["key"] if answer and not refusal else None,
        days=_KEY_DAYS,
        scopes=[name for name in PERMISSIONS if visit.may(name)],
        roles=[role.name for role in Role if role <= visit.principal.role],
    )


async def make_key(visit: ConsoleVisit) -> Response:
    """Make an API key; it shows once."""
    form = visit.form
    body: Json = {"name": form.text("name"), "role": form.text("role")}
    try:
        body["days"] = form.number("days", "Days") or _KEY_DAYS
    except InvalidInput as error:
        refusal = ApiRefusal("gateway", 422, error.code, error.message, "days")
        return await _access_page(visit, Answer(refusal=refusal))
    if networks := form.words("networks"):
        body["networks"] = networks
    if scopes := form.texts("scope"):
        body["scopes"] = scopes
    return await _access_page(visit, await visit.post("gateway", "/v1/api-keys", body))


async def rotate_key(visit: ConsoleVisit) -> Response:
    """Replace a key by a new one, which shows once; the old one goes on for a day."""
    path = f"/v1/api-keys/{visit.place('key_id')}/rotate"
    return await _access_page(visit, await visit.post("gateway", path, {}))


async def end_item(visit: ConsoleVisit) -> Response:
    """Remove a member, withdraw an invitation, revoke a key, or end a session."""
    kind = visit.place("kind")
    if kind not in _PATHS:
        raise InvalidInput("There is no such kind.", field="kind")
    answer = await visit.delete("gateway", _PATHS[kind] + visit.place("identity"))
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    is_own = kind in {"api-keys", "sessions"}
    return visit.moved("/access" if is_own else "/administration/members", done="deleted")


SCREENS: Final = [
    Screen("GET", "/administration/members", show_members),
    Screen("POST", "/administration/members", invite),
    Screen("POST", "/administration/members/{person_id}", change_member),
    Screen("GET", "/access", show_access),
    Screen("POST", "/access", make_key),
    Screen("POST", "/access/api-keys/{key_id}/rotate", rotate_key),
    Screen("POST", "/access/{kind}/{identity}/end", end_item),
]

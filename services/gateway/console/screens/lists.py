"""Lists for other tools: members, why a value is in or not, guards, versions, consumers and lag."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.forms import FormFields, utc_moment
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_PROFILES: Final = ("strict", "standard", "wide")
_MARKINGS: Final = ("clear", "green", "amber", "amber+strict", "red")


async def show_lists(visit: ConsoleVisit) -> Response:
    """All lists, those that are held first, and their consumers."""
    lists, consumers, formats = await asyncio.gather(
        visit.get("observables", "/v1/lists", after=visit.query("after"), limit=_PAGE),
        visit.get("observables", "/v1/list-consumers", limit=_PAGE),
        visit.get("observables", "/v1/list-formats"),
    )
    items = sorted(lists.items, key=lambda item: (item["state"] == "active", item["name"]))
    return visit.page("lists.html", lists=lists, items=items, consumers=consumers, formats=formats)


async def show_list(visit: ConsoleVisit) -> Response:
    """One list: its entries now or at a moment, its tools, what changed, and why a value is in."""
    path = f"/v1/lists/{visit.place('list_id')}"
    value = visit.query("value")
    tools = asyncio.gather(
        visit.get("observables", "/v1/list-formats"),
        visit.get("observables", "/v1/list-consumers", limit=1000),
        _difference(visit, path),
    )
    document, entries, changes, why = await asyncio.gather(
        visit.get("observables", path),
        visit.get(
            "observables",
            f"{path}/entries",
            after=visit.query("after"),
            as_of=utc_moment(visit.query("as_of")),
            limit=_PAGE,
        ),
        _newest_changes(visit, path),
        _explanation(visit, path, value),
    )
    formats, consumers, difference = await tools
    if document.refusal is not None:
        return visit.refused(document.refusal)
    url = visit.request.url
    return visit.page(
        "list.html",
        list=document.document,
        entries=entries,
        changes=changes,
        why=why,
        value=value,
        as_of=visit.query("as_of"),
        formats=formats,
        consumers=consumers,
        polls=_polls_of(consumers, document.document["id"]),
        poll_address=f"{url.scheme}://{url.netloc}/lists/TOKEN/{document.document['name']}",
        difference=difference,
        versions=(visit.query("before"), visit.query("until")),
    )


def _polls_of(consumers: Answer, list_id: str) -> list[Json]:
    """What consumers have of a list, the furthest behind first."""
    polls = [
        {**poll, "consumer": consumer["name"]}
        for consumer in consumers.items
        for poll in consumer["polls"]
        if poll["list_id"] == list_id
    ]
    return sorted(polls, key=lambda poll: -poll["lag_seconds"])


async def _difference(visit: ConsoleVisit, path: str) -> Answer | None:
    """What joined and left between the two versions of the address; None if it names none."""
    before = visit.query("before")
    until = visit.query("until")
    if not before or not until:
        return None
    return await visit.get("observables", f"{path}/diff", before=before, after=until)


async def _newest_changes(visit: ConsoleVisit, path: str) -> Answer:
    """The last changes; their numbers have no gaps, so that the newest page is known."""
    newest = await visit.get("observables", path)
    if newest.refusal is not None:
        return newest
    after = max(newest.document["version"] - _PAGE, 0)
    return await visit.get("observables", f"{path}/changes", after=str(after), limit=_PAGE)


async def _explanation(visit: ConsoleVisit, path: str, value: str) -> Answer | None:
    return await visit.get("observables", f"{path}/why", value=value) if value else None


async def show_new_list(visit: ConsoleVisit) -> Response:
    """The form of a new list."""
    return _list_form(visit, None)


def _list_form(visit: ConsoleVisit, refusal: ApiRefusal | None) -> Response:
    return visit.page(
        "list_new.html",
        status=422 if refusal else 200,
        form=visit.form,
        refusal=refusal,
        profiles=_PROFILES,
        markings=_MARKINGS,
    )


async def save_list(visit: ConsoleVisit) -> Response:
    """Create a list."""
    try:
        body = _list_of(visit.form)
    except InvalidInput as error:
        place = error.details.get("field")
        return _list_form(visit, ApiRefusal("gateway", 422, error.code, error.message, place))
    answer = await visit.post("observables", "/v1/lists", body)
    if answer.refusal is not None:
        return _list_form(visit, answer.refusal)
    return visit.moved(f"/lists/{answer.document['id']}", done="saved")


def _list_of(form: FormFields) -> Json:
    body: Json = {
        "name": form.text("name"),
        "filter": form.text("filter"),
        "description": form.text("description"),
    }
    for name in ("profile", "tlp_ceiling"):
        if form.text(name):
            body[name] = form.text(name)
    capacity = form.number("capacity", "Capacity")
    if capacity is not None:
        body["capacity"] = capacity
    if form.flag("is_collection"):
        body["is_collection"] = True
    return body


async def act_on_list(visit: ConsoleVisit) -> Response:
    """Let a held list out, or delete a list."""
    path = f"/v1/lists/{visit.place('list_id')}"
    act = visit.place("act")
    if act == "release":
        answer = await visit.post("observables", f"{path}/release")
    elif act == "delete":
        answer = await visit.delete("observables", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    if act == "delete":
        return visit.moved("/lists", done="deleted")
    return visit.moved(f"/lists/{visit.place('list_id')}", done="saved")


async def save_consumer(visit: ConsoleVisit) -> Response:
    """Let another tool poll lists; its token and addresses show once."""
    form = visit.form
    body: dict[str, Any] = {"name": form.text("name"), "list_ids": form.texts("list")}
    if networks := form.words("networks"):
        body["networks"] = networks
    answer = await visit.post("observables", "/v1/list-consumers", body)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.page("consumer_issued.html", consumer=answer.document)


async def revoke_consumer(visit: ConsoleVisit) -> Response:
    """Refuse a tool from now on."""
    path = f"/v1/list-consumers/{visit.place('consumer_id')}/revoke"
    answer = await visit.post("observables", path)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved("/lists", done="saved")


SCREENS: Final = [
    Screen("GET", "/lists", show_lists),
    Screen("GET", "/lists/new", show_new_list, "lists:write"),
    Screen("POST", "/lists/new", save_list),
    Screen("POST", "/lists/consumers", save_consumer),
    Screen("POST", "/lists/consumers/{consumer_id}/revoke", revoke_consumer),
    Screen("GET", "/lists/{list_id}", show_list),
    Screen("POST", "/lists/{list_id}/{act}", act_on_list),
]

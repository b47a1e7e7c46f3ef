"""Feeds: their health with evidence, the catalog, a preview before anything is stored, and runs."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.feed_states import shown_health, with_shown_health
from services.gateway.console.forms import FormFields
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_MOST: Final = 1_000
"""Feeds that are sorted and filtered on one page; the API's largest page."""
_RUNS: Final = 25
_GRADES: Final = ("A", "B", "C", "D", "E", "F")
_MARKINGS: Final = ("clear", "green", "amber", "amber+strict", "red")
_SORTS: Final = ("name", "listed", "health", "next_run_at")
_ACTS: Final = {"runs": "run-queued", "confirm": "run-queued", "resync": "run-queued"}
_MAX_EXAMPLES: Final = 20


async def list_feeds(visit: ConsoleVisit) -> Response:
    """The tenant's feeds and the public ones; those that need attention first."""
    answer = await visit.get("feeds", "/v1/feeds", limit=_MOST)
    state = {name: visit.query(name) for name in ("q", "health", "sort")}
    feeds = with_shown_health(answer.items)
    shown = _sorted(_filtered(feeds, state), state["sort"])
    return visit.page(
        "feeds.html",
        fragment="table",
        answer=answer,
        feeds=shown,
        state=state,
        healths=sorted({feed["health"] for feed in feeds}),
    )


def _filtered(feeds: Sequence[Any], state: dict[str, str]) -> list[Any]:
    needle = state["q"].casefold()
    return [
        feed
        for feed in feeds
        if (not state["health"] or feed["health"] == state["health"])
        and (needle in feed["name"].casefold() or needle in str(feed.get("url") or "").casefold())
    ]


def _sorted(feeds: list[Any], sort: str) -> list[Any]:
    name = sort.removeprefix("-")
    if name not in _SORTS:
        return sorted(feeds, key=lambda feed: (feed["health"] == "healthy", feed["name"]))
    is_text = name != "listed"
    return sorted(
        feeds,
        key=lambda feed: str(feed.get(name) or "") if is_text else feed.get(name) or 0,
        reverse=sort.startswith("-"),
    )


async def show_feed(visit: ConsoleVisit) -> Response:
    """One feed and its runs, side by side."""
    feed_id = visit.place("feed_id")
    feed, runs = await asyncio.gather(
        visit.get("feeds", f"/v1/feeds/{feed_id}"),
        visit.get("feeds", "/v1/runs", feed=feed_id, after=visit.query("after"), limit=_RUNS),
    )
    if feed.refusal is not None:
        return visit.refused(feed.refusal)
    is_active = any(run["state"] in {"queued", "running", "applying"} for run in runs.items)
    return visit.page(
        "feed.html",
        fragment="runs",
        feed=feed.document,
        health=shown_health(feed.document),
        latest=runs.items[0] if runs.items and not visit.query("after") else None,
        runs=runs,
        is_active=is_active,
    )


async def act_on_feed(visit: ConsoleVisit) -> Response:
    """Fetch now, accept a quarantined list, or have everything said again."""
    feed_id = visit.place("feed_id")
    act = visit.place("act")
    if act in {"pause", "resume"}:
        answer = await visit.patch("feeds", f"/v1/feeds/{feed_id}", {"enabled": act == "resume"})
        done = "feed-saved"
    elif act == "delete":
        answer = await visit.delete("feeds", f"/v1/feeds/{feed_id}")
        done = "feed-deleted"
    elif act in _ACTS:
        answer = await visit.post("feeds", f"/v1/feeds/{feed_id}/{act}")
        done = _ACTS[act]
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved("/feeds" if act == "delete" else f"/feeds/{feed_id}", done=done)


async def show_run(visit: ConsoleVisit) -> Response:
    """One run: its stages, what it left out, and its error."""
    answer = await visit.get("feeds", f"/v1/runs/{visit.place('run_id')}")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    run = answer.document
    return visit.page(
        "run.html",
        fragment="run",
        run=run,
        report=run["report"] or {},
        is_active=run["state"] in {"queued", "running", "applying"},
        shown=_MAX_EXAMPLES,
    )


async def show_catalog(visit: ConsoleVisit) -> Response:
    """The public feeds that come with SentinelIQ."""
    catalog, feeds = await asyncio.gather(
        visit.get("feeds", "/v1/catalogue"), visit.get("feeds", "/v1/feeds", limit=_MOST)
    )
    subscribed = {feed["catalogue"]: feed["id"] for feed in feeds.items if feed["catalogue"]}
    state = {name: visit.query(name) for name in ("q", "type")}
    needle = state["q"].casefold()
    entries = [
        entry
        for entry in catalog.items
        if not entry.get("retired")
        and needle in f"{entry['title']} {entry['provider']} {entry['slug']}".casefold()
        and (not state["type"] or state["type"] in entry["types"])
    ]
    types = sorted(set().union(*(entry["types"] for entry in catalog.items)))
    return visit.page(
        "catalog.html",
        fragment="table",
        answer=catalog,
        entries=entries,
        subscribed=subscribed,
        state=state,
        types=types,
        refusal=None,
    )


async def show_entry(visit: ConsoleVisit) -> Response:
    """One entry of the catalog, with its licence and known trouble."""
    return await _entry_page(visit, None)


async def _entry_page(visit: ConsoleVisit, refusal: ApiRefusal | None) -> Response:
    answer = await visit.get("feeds", f"/v1/catalogue/{visit.place('slug')}")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    status = 422 if refusal else 200
    return visit.page(
        "catalog_entry.html",
        status=status,
        entry=answer.document,
        form=visit.form,
        refusal=refusal,
    )


async def subscribe(visit: ConsoleVisit) -> Response:
    """Subscribe to an entry of the catalog, and fetch it at once."""
    form = visit.form
    slug = visit.place("slug")
    body: Json = {}
    if form.text("credential_kind"):
        body["auth"] = _credentials(form)
    answer = await visit.post("feeds", f"/v1/catalogue/{slug}/subscribe", body)
    if answer.refusal is not None:
        return await _entry_page(visit, answer.refusal)
    return await _started(visit, answer)


def _credentials(form: FormFields) -> Json:
    kind = form.text("credential_kind")
    fields = {
        "basic": ("username", "password"),
        "bearer": ("token",),
        "header": ("name", "value"),
        "query": ("name", "value"),
        "certificate": ("chain", "key"),
    }.get(kind, ())
    return {"kind": kind, **{name: form.raw(f"credential_{name}") for name in fields}}


async def show_new_feed(visit: ConsoleVisit) -> Response:
    """The form of a feed of one's own."""
    return _feed_form(visit)


async def save_feed(visit: ConsoleVisit) -> Response:
    """Preview what the address gives, or subscribe to it: the form's button says which."""
    try:
        body = _feed_of(visit.form)
    except InvalidInput as error:
        place = error.details.get("field")
        refusal = ApiRefusal("gateway", 422, error.code, error.message, place)
        return _feed_form(visit, refusal=refusal)
    if visit.form.text("act") == "preview":
        address: Json = {name: body[name] for name in ("url", "format") if name in body}
        return _feed_form(visit, preview=await visit.post("feeds", "/v1/preview", address))
    answer = await visit.post("feeds", "/v1/feeds", body)
    if answer.refusal is not None:
        return _feed_form(visit, refusal=answer.refusal)
    return await _started(visit, answer)


def _feed_of(form: FormFields) -> Json:
    body: Json = {"name": form.text("name"), "url": form.text("url")}
    if form.text("format"):
        body["format"] = form.text("format")
    for name in ("reliability", "tlp"):
        if form.text(name):
            body[name] = form.text(name)
    confidence = form.number("confidence", "Confidence")
    if confidence is not None:
        body["confidence"] = confidence
    minutes = form.number("every_minutes", "Minutes between two fetches")
    if minutes is not None:
        body["every_seconds"] = minutes * 60
    if tags := form.words("tags"):
        body["tags"] = tags
    return body


def _feed_form(
    visit: ConsoleVisit, *, refusal: ApiRefusal | None = None, preview: Answer | None = None
) -> Response:
    if preview is not None and preview.refusal is not None:
        refusal = preview.refusal
    return visit.page(
        "feed_new.html",
        status=422 if refusal else 200,
        form=visit.form,
        refusal=refusal,
        preview=preview.document if preview else None,
        grades=_GRADES,
        markings=_MARKINGS,
    )


async def _started(visit: ConsoleVisit, answer: Answer) -> Response:
    """Fetch a new feed at once and show it; that the fetch is refused does not undo the feed."""
    feed_id = answer.document["id"]
    run = await visit.post("feeds", f"/v1/feeds/{feed_id}/runs")
    return visit.moved(f"/feeds/{feed_id}", done="feed-saved" if run.refusal else "run-queued")


SCREENS: Final = [
    Screen("GET", "/feeds", list_feeds),
    Screen("GET", "/feeds/catalog", show_catalog),
    Screen("GET", "/feeds/catalog/{slug}", show_entry),
    Screen("POST", "/feeds/catalog/{slug}", subscribe),
    Screen("GET", "/feeds/new", show_new_feed, "feeds:write"),
    Screen("POST", "/feeds/new", save_feed),
    Screen("GET", "/feeds/{feed_id}", show_feed),
    Screen("POST", "/feeds/{feed_id}/{act}", act_on_feed),
    Screen("GET", "/runs/{run_id}", show_run),
]

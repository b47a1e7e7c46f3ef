"""Schedules: when what runs, what came of it, and a person's own ones."""

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.forms import FormFields
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 200
_FIRINGS: Final = 50
_RUNS: Final = 200


async def list_schedules(visit: ConsoleVisit) -> Response:
    """All schedules that the person may see; those that are switched off by the platform first."""
    answer, beats = await asyncio.gather(
        visit.get("scheduler", "/v1/schedules", limit=_PAGE, after=visit.query("after")),
        visit.get("scheduler", "/v1/beats"),
    )
    needle = visit.query("q").casefold()
    shown = [item for item in answer.items if needle in f"{item['name']} {item['task']}".casefold()]
    shown.sort(key=lambda item: (item["disabled_reason"] is None, item["next_due_at"] or "~"))
    return visit.page(
        "schedules.html",
        fragment="table",
        answer=answer,
        schedules=shown,
        beats=beats,
        needle=visit.query("q"),
    )


async def show_schedule(visit: ConsoleVisit) -> Response:
    """One schedule and its firings, newest first."""
    return await _schedule_page(visit, None)


async def _schedule_page(visit: ConsoleVisit, refusal: ApiRefusal | None) -> Response:
    path = f"/v1/schedules/{visit.place('schedule_id')}"
    schedule, firings = await asyncio.gather(
        visit.get("scheduler", path),
        visit.get("scheduler", f"{path}/fires", limit=_FIRINGS, after=visit.query("after")),
    )
    if schedule.refusal is not None:
        return visit.refused(schedule.refusal)
    return visit.page(
        "schedule.html",
        status=422 if refusal else 200,
        schedule=schedule.document,
        firings=firings,
        runs=await _started_runs(visit, schedule.document, firings.items),
        form=visit.form,
        refusal=refusal,
    )


async def _started_runs(visit: ConsoleVisit, schedule: Json, firings: list[Json]) -> Json:
    """The runs of the feed that a schedule fetches, by their ids: a firing ends with the start."""
    if not schedule["args"] or not any(firing["run_id"] for firing in firings):
        return {}
    runs = await visit.get("feeds", "/v1/runs", feed=schedule["args"][0], limit=_RUNS)
    return {run["id"]: run for run in runs.items}


async def show_new_schedule(visit: ConsoleVisit) -> Response:
    """The form of a new schedule, with the feeds that it may fetch."""
    return await _schedule_form(visit, None)


async def _schedule_form(visit: ConsoleVisit, refusal: ApiRefusal | None) -> Response:
    feeds = await visit.get("feeds", "/v1/feeds", limit=1000)
    return visit.page(
        "schedule_new.html",
        status=422 if refusal else 200,
        form=visit.form,
        refusal=refusal,
        feeds=[feed for feed in feeds.items if feed["tenant"] == visit.principal.tenant],
    )


async def save_schedule(visit: ConsoleVisit) -> Response:
    """Create a schedule."""
    try:
        body = _schedule_of(visit.form)
    except InvalidInput as error:
        place = error.details.get("field")
        return await _schedule_form(
            visit, ApiRefusal("gateway", 422, error.code, error.message, place)
        )
    answer = await visit.post("scheduler", "/v1/schedules", body)
    if answer.refusal is not None:
        return await _schedule_form(visit, answer.refusal)
    return visit.moved(f"/schedules/{answer.document['id']}", done="saved")


def _schedule_of(form: FormFields) -> Json:
    body: Json = {"name": form.text("name"), "task": form.text("task") or "feeds.tasks.start_feed"}
    if form.text("feed"):
        body["args"] = [form.text("feed")]
    elif form.text("args"):
        body["args"] = _arguments(form.text("args"))
    if form.text("cron"):
        body["cron"] = form.text("cron")
    seconds = form.number("every_seconds", "Seconds")
    if seconds is not None:
        body["every_seconds"] = seconds
    if form.text("timezone"):
        body["timezone"] = form.text("timezone")
    if form.text("catch_up"):
        body["catch_up"] = form.text("catch_up")
    return body


def _arguments(text: str) -> list[Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list):
        raise InvalidInput('Arguments: write a JSON list, such as ["a", 1].', field="args")
    return values


async def act_on_schedule(visit: ConsoleVisit) -> Response:
    """Run now, pause, resume or delete a schedule."""
    schedule_id = visit.place("schedule_id")
    path = f"/v1/schedules/{schedule_id}"
    act = visit.place("act")
    if act == "run":
        answer = await visit.post("scheduler", f"{path}/run")
    elif act in {"pause", "resume"}:
        answer = await visit.patch("scheduler", path, {"enabled": act == "resume"})
    elif act == "delete":
        answer = await visit.delete("scheduler", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return await _schedule_page(visit, answer.refusal)
    if act == "delete":
        return visit.moved("/schedules", done="deleted")
    return visit.moved(f"/schedules/{schedule_id}", done="started" if act == "run" else "saved")


SCREENS: Final = [
    Screen("GET", "/schedules", list_schedules),
    Screen("GET", "/schedules/new", show_new_schedule, "schedules:write"),
    Screen("POST", "/schedules/new", save_schedule),
    Screen("GET", "/schedules/{schedule_id}", show_schedule),
    Screen("POST", "/schedules/{schedule_id}/{act}", act_on_schedule),
]

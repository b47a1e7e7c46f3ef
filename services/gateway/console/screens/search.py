"""Search: one box for a value, a list, a report, a technique or a name; and acts on values."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer
from services.gateway.console.forms import FormFields
from services.gateway.console.search_results import (
    EXPORT_TYPES,
    by_state,
    count_types,
    export_results,
    results_of_lookup,
    results_of_report,
)
from services.gateway.console.search_terms import SearchQuery, read_query
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.settings import ServiceName

_SHOWN: Final = 1_000
"""Rows of one table on a page; the counts beside it are of all."""
_SHOWN_OF_REPORT: Final = 500
"""A report is long already."""
_ACTS: Final[dict[str, str]] = {
    "enrich": "enrichment:ask",
    "false-positive": "observables:write",
    "confirmed-malicious": "observables:write",
}
"""What can be done with selected values, and the permission for it."""
_MAX_ENRICHED: Final = 100
_MAX_SIGHTINGS: Final = 1_000
_MAX_TAG: Final = 200
"""Characters of a tag, and of a text to search techniques for."""
_NAMED: Final[list[tuple[str, ServiceName, str, str]]] = [
    ("feed", "feeds", "/v1/feeds", "/feeds/"),
    ("rule", "notifications", "/v1/rules", "/notifications/rules/"),
    ("channel", "notifications", "/v1/channels", "/notifications/channels/"),
    ("list", "observables", "/v1/lists", "/lists/"),
]
"""What has a name: its kind, the service that has it, its API, and its page."""


async def search(visit: ConsoleVisit) -> Response:
    """The box, and the answer to what the address asks."""
    return await _answer(visit, visit.request.query_params.get("q", ""))


async def search_pasted(visit: ConsoleVisit) -> Response:
    """The answer to what is too long for an address."""
    return await _answer(visit, visit.form.raw("q"))


async def _answer(visit: ConsoleVisit, text: str) -> Response:
    query = read_query(text)
    if query.kind == "technique":
        return visit.moved(f"/attack/techniques/{query.values[0]}")
    context: dict[str, Any] = {"text": text, "query": query, "acts": _offered(visit)}
    if query.kind in {"value", "name"}:
        context |= await _look_up_one(visit, query.values[0])
    elif query.kind != "empty":
        context |= await _look_up_many(visit, query, text)
    return visit.page("search.html", **context)


def _offered(visit: ConsoleVisit) -> list[str]:
    return [act for act, permission in _ACTS.items() if visit.may(permission)]


async def _look_up_one(visit: ConsoleVisit, value: str) -> dict[str, Any]:
    """What is known of one value, and what has it as a name: all calls side by side."""
    lookup, below, tagged, techniques, *named = await asyncio.gather(
        visit.get("observables", "/v1/lookup", value=value),
        visit.get("observables", "/v1/observables", under=value, limit=20),
        visit.get("observables", "/v1/observables", tag=value[:_MAX_TAG], limit=1),
        visit.get("mitre", "/v1/techniques", q=value[:_MAX_TAG], limit=5),
        *(visit.get(service, path, limit=1000) for _, service, path, _ in _NAMED),
    )
    return {
        "lookup": lookup,
        # A value that has nothing below it is refused by the API: then there is no such panel.
        "below": _others(below, lookup),
        "tag": value if tagged.items and len(value) <= _MAX_TAG else "",
        "techniques": techniques.items,
        "named": [
            (kind, page, item)
            for (kind, _, _, page), answer in zip(_NAMED, named, strict=True)
            for item in _of_name(answer, value)
        ],
    }


def _others(below: Answer, lookup: Answer) -> list[Any]:
    observable = (lookup.document or {}).get("observable") or {}
    return [item for item in below.items if item["id"] != observable.get("id")]


def _of_name(answer: Answer, text: str) -> list[Any]:
    needle = text.casefold()
    return [item for item in answer.items if needle in str(item["name"]).casefold()][:10]


async def _look_up_many(visit: ConsoleVisit, query: SearchQuery, text: str) -> dict[str, Any]:
    """The values of a list or of a report, each with what is known of it."""
    if query.kind == "report":
        answer = await visit.post_text("observables", "/v1/extract", text)
        extraction = answer.document or {}
        results = results_of_report(extraction.get("observables", ()))
    else:
        answer = await visit.post("observables", "/v1/lookup", {"values": query.values})
        extraction = {}
        results = results_of_lookup(answer.items)
    return {
        "answer": answer,
        "extraction": extraction,
        "results": results,
        "tables": by_state(results),
        "types": count_types(results),
        "shown": _SHOWN_OF_REPORT if query.kind == "report" else _SHOWN,
    }


async def export(visit: ConsoleVisit) -> Response:
    """A file of all that was found for a list or a report."""
    text = visit.form.raw("q")
    form = visit.form.text("format")
    query = read_query(text)
    if query.kind == "empty" or form not in EXPORT_TYPES:
        return await _answer(visit, text)
    outcome = await _look_up_many(visit, query, text)
    if outcome["answer"].refusal is not None:
        return visit.refused(outcome["answer"].refusal)
    headers = {"Content-Disposition": f'attachment; filename="search.{form}"'}
    content = export_results(outcome["results"], form)
    return Response(content, headers=headers, media_type=EXPORT_TYPES[form])


async def act_on_values(visit: ConsoleVisit) -> Response:
    """Act on the selected values; first the number of them is shown and confirmed."""
    form = visit.form
    act = form.text("act")
    values = list(dict.fromkeys(form.texts("value")))
    limit = _MAX_ENRICHED if act == "enrich" else _MAX_SIGHTINGS
    context: dict[str, Any] = {
        "act": act,
        "values": values,
        "limit": limit,
        "refusal": None,
        "result": None,
    }
    if act not in _ACTS or not values or len(values) > limit or not form.flag("confirmed"):
        return visit.page("values_act.html", status=200 if values else 422, **context)
    answer = await _apply(visit, act, values, form)
    if answer.refusal is not None:
        return visit.page("values_act.html", status=422, **{**context, "refusal": answer.refusal})
    if act == "enrich":
        return visit.moved(f"/enrichments/{answer.document['id']}")
    return visit.page("values_act.html", **{**context, "result": answer})


async def _apply(visit: ConsoleVisit, act: str, values: list[str], form: FormFields) -> Answer:
    if act == "enrich":
        return await visit.post("observables", "/v1/enrichments", {"values": values})
    note = form.text("note")
    sightings = [{"value": value, "kind": act, "note": note} for value in values]
    return await visit.post("observables", "/v1/sightings", {"sightings": sightings})


async def show_enrichment(visit: ConsoleVisit) -> Response:
    """A request for enrichment: the answers as they arrive."""
    answer = await visit.get("observables", f"/v1/enrichments/{visit.place('request_id')}")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.page("enrichment.html", fragment="jobs", enrichment=answer.document)


SCREENS: Final = [
    Screen("GET", "/search", search),
    Screen("POST", "/search", search_pasted),
    Screen("POST", "/search/export", export),
    Screen("POST", "/search/act", act_on_values),
    Screen("GET", "/enrichments/{request_id}", show_enrichment),
]

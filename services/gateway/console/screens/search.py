"""Search: one box for a value, a list, a report, a technique or a name; and acts on values."""

import asyncio
from typing import Any, Final, Literal

from starlette.responses import Response

from services.gateway.console.api_client import Answer
from services.gateway.console.forms import FormFields
from services.gateway.console.search_terms import SearchQuery, read_query
from services.gateway.console.visits import ConsoleVisit, Screen

_SHOWN: Final = 1_000
"""Rows of one table on a page; the counts beside it are of all."""
_ACTS: Final[dict[str, str]] = {
    "enrich": "enrichment:ask",
    "false-positive": "observables:write",
    "confirmed-malicious": "observables:write",
}
"""What can be done with selected values, and the permission for it."""
_MAX_ENRICHED: Final = 100
_MAX_SIGHTINGS: Final = 1_000
Bucket = Literal["known", "unknown", "unrecognised"]


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
    elif query.kind == "values":
        context |= await _look_up_many(visit, query)
    elif query.kind == "report":
        context["extraction"] = await visit.post_text("observables", "/v1/extract", text)
    return visit.page("search.html", **context)


def _offered(visit: ConsoleVisit) -> list[str]:
    return [act for act, permission in _ACTS.items() if visit.may(permission)]


async def _look_up_one(visit: ConsoleVisit, value: str) -> dict[str, Any]:
    """What is known of one value, and what has it as a name: all calls side by side."""
    lookup, below, feeds, rules, techniques = await asyncio.gather(
        visit.get("observables", "/v1/lookup", value=value),
        visit.get("observables", "/v1/observables", under=value, limit=20),
        visit.get("feeds", "/v1/feeds", limit=1000),
        visit.get("notifications", "/v1/rules", limit=1000),
        visit.get("mitre", "/v1/techniques", q=value[:200], limit=5),
    )
    return {
        "lookup": lookup,
        # A value that has nothing below it is refused by the API: then there is no such panel.
        "below": _others(below, lookup),
        "feeds": _of_name(feeds, value),
        "rules": _of_name(rules, value),
        "techniques": techniques.items,
    }


def _others(below: Answer, lookup: Answer) -> list[Any]:
    observable = (lookup.document or {}).get("observable") or {}
    return [item for item in below.items if item["id"] != observable.get("id")]


def _of_name(answer: Answer, text: str) -> list[Any]:
    needle = text.casefold()
    return [item for item in answer.items if needle in str(item["name"]).casefold()][:10]


async def _look_up_many(visit: ConsoleVisit, query: SearchQuery) -> dict[str, Any]:
    answer = await visit.post("observables", "/v1/lookup", {"values": query.values})
    tables: dict[Bucket, list[Any]] = {"known": [], "unknown": [], "unrecognised": []}
    for item in answer.items:
        tables[_bucket(item)].append(item)
    tables["known"].sort(key=lambda item: -item["observable"]["score"])
    return {"lookup": answer, "tables": tables, "shown": _SHOWN}


def _bucket(item: Any) -> Bucket:
    if item.get("observable"):
        return "known"
    return "unrecognised" if item.get("problem") else "unknown"


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
    Screen("POST", "/search/act", act_on_values),
    Screen("GET", "/enrichments/{request_id}", show_enrichment),
]

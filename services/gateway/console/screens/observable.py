"""One observable: its verdict in a sentence, its parts, its sources, its neighbours, its past."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.visits import ConsoleVisit, Screen
from services.gateway.console.waterfall import make_waterfall

_SIGHTING_KINDS: Final = ("seen", "confirmed-malicious", "false-positive")
_RELATIONS: Final = 50


async def show_observable(visit: ConsoleVisit) -> Response:
    """The page, now or as recorded at a moment."""
    identity = visit.place("identity")
    as_of = visit.query("as_of")
    if as_of and len(as_of) == len("2026-11-30T08:00"):
        as_of = f"{as_of}:00Z"  # a field for date and time has no zone: the page says UTC
    path = f"/v1/observables/{identity}"
    observable, explanation, relations, enrichers = await asyncio.gather(
        visit.get("observables", path, as_of=as_of),
        visit.get("observables", f"{path}/explain", as_of=as_of),
        visit.get(
            "observables",
            f"{path}/relations",
            kind=visit.query("kind"),
            direction=visit.query("direction"),
            after=visit.query("after"),
            limit=_RELATIONS,
        ),
        visit.get("observables", "/v1/enrichers"),
    )
    if observable.refusal is not None:
        return _refused(visit, observable.refusal, as_of)
    document = observable.document
    lookup, holders = await asyncio.gather(
        visit.get("observables", "/v1/lookup", value=document["value"], as_of=as_of),
        visit.get("observables", "/v1/list-consumers/holders", value=document["value"]),
    )
    contributions = (explanation.document or {}).get("contributions", [])
    return visit.page(
        "observable.html",
        observable=document,
        explanation=explanation,
        bars=make_waterfall(contributions),
        relations=relations,
        lookup=lookup,
        holders=holders,
        enrichers=_usable(enrichers.items, document["type"]),
        timeline=_timeline(document),
        as_of=as_of,
        sighting_kinds=_SIGHTING_KINDS,
    )


def _refused(visit: ConsoleVisit, refusal: Any, as_of: str) -> Response:
    if refusal.status == 422 and as_of:
        return visit.page("observable_past.html", status=422, refusal=refusal, as_of=as_of)
    return visit.refused(refusal)


def _usable(enrichers: list[Any], kind: str) -> list[Any]:
    return [item for item in enrichers if item["enabled"] and kind in item["types"]]


def _timeline(observable: Any) -> list[dict[str, Any]]:
    """What happened to an observable, newest first."""
    assertions = observable["assertions"]
    events = [_event(item["first_seen"], "reported", item["source"]) for item in assertions]
    events += [
        _event(item["retracted_at"], "retracted", item["source"])
        for item in assertions
        if item.get("retracted_at")
    ]
    sightings = observable["sightings"]
    events += [_event(item["first_seen"], item["kind"], item["actor"]) for item in sightings]
    answers = observable["enrichments"]
    events += [_event(item["obtained_at"], "enriched", item["enricher"]) for item in answers]
    return sorted(events, key=lambda event: str(event["at"]), reverse=True)


def _event(at: str, kind: str, by: str) -> dict[str, Any]:
    return {"at": at, "kind": kind, "by": by}


async def enrich(visit: ConsoleVisit) -> Response:
    """Query providers about the value, and show their answers as they arrive."""
    body: dict[str, Any] = {"values": [visit.form.raw("value")]}
    if names := visit.form.texts("enricher"):
        body["enrichers"] = names
    answer = await visit.post("observables", "/v1/enrichments", body)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(f"/enrichments/{answer.document['id']}")


async def report_sighting(visit: ConsoleVisit) -> Response:
    """Store what a person has seen of the value, or holds it to be."""
    form = visit.form
    sighting = {
        "value": form.raw("value"),
        "type": form.text("type"),
        "kind": form.text("kind"),
        "note": form.text("note"),
    }
    answer = await visit.post("observables", "/v1/sightings", {"sightings": [sighting]})
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(f"/observables/{visit.place('identity')}", done="sighting-stored")


SCREENS: Final = [
    Screen("GET", "/observables/{identity}", show_observable),
    Screen("POST", "/observables/{identity}/enrich", enrich),
    Screen("POST", "/observables/{identity}/sightings", report_sighting),
]

"""Operations: whether each service answers, what waits, what is halted, and what to do about it."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import NotFound
from shared.settings import SERVICES, ServiceName

_SERVICES: Final[tuple[ServiceName, ...]] = tuple(
    service for service in SERVICES if service != "gateway"
)


async def show_operations(visit: ConsoleVisit) -> Response:
    """The state of all services, side by side."""
    is_operator = visit.may("consumers:operate")
    states, enrichers, beats, datasets = await asyncio.gather(
        asyncio.gather(*(_state(visit, service, is_operator) for service in _SERVICES)),
        visit.get("observables", "/v1/enrichers"),
        _beats(visit),
        visit.get("observables", "/v1/reference"),
    )
    partitions = [
        {**partition, "service": state["name"]}
        for state in states
        for partition in _documents(state["consumers"], "partitions")
    ]
    partitions.sort(key=lambda item: (item["halted_at"] is None, -item["dead_letters"]))
    return visit.page(
        "operations.html",
        fragment="panels",
        states=states,
        partitions=partitions,
        is_operator=is_operator,
        enrichers=enrichers,
        beats=beats,
        datasets=datasets,
    )


async def _beats(visit: ConsoleVisit) -> Answer | None:
    """The Beats, for whoever may know of them."""
    return await visit.get("scheduler", "/v1/beats") if visit.may("platform:reconcile") else None


async def _state(visit: ConsoleVisit, service: ServiceName, is_operator: bool) -> dict[str, Any]:
    ready = visit.get(service, "/readyz")
    if not is_operator:
        return {"name": service, "ready": await ready, "outbox": None, "consumers": None}
    answers = await asyncio.gather(
        ready, visit.get(service, "/v1/outbox"), visit.get(service, "/v1/consumers")
    )
    return {"name": service, "ready": answers[0], "outbox": answers[1], "consumers": answers[2]}


def _documents(answer: Answer | None, name: str) -> list[Any]:
    document = answer.document if answer else None
    return list(document.get(name, ())) if isinstance(document, dict) else []


async def release_partition(visit: ConsoleVisit) -> Response:
    """Let a halted partition be consumed again."""
    form = visit.form
    service = _service(form.text("service"))
    body: dict[str, Any] = {"topic": form.text("topic")}
    partition = form.number("partition", "Partition")
    if partition is not None:
        body["partition"] = partition
    answer = await visit.post(service, "/v1/consumers/release", body)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved("/operations", done="released")


async def show_parked(visit: ConsoleVisit) -> Response:
    """Events that Kafka has refused, of one service."""
    service = _service(visit.place("service"))
    answer = await visit.get(service, "/v1/outbox/parked", after=visit.query("after"), limit=100)
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.page("parked.html", answer=answer, service=service)


async def act_on_parked(visit: ConsoleVisit) -> Response:
    """Send parked events again, or discard them."""
    service = _service(visit.place("service"))
    act = "discard" if visit.form.text("act") == "discard" else "retry"
    ids = [int(text) for text in visit.form.texts("id") if text.isascii() and text.isdigit()]
    answer = await visit.post(service, f"/v1/outbox/parked/{act}", {"ids": ids})
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    return visit.moved(f"/operations/parked/{service}", done="saved")


def _service(name: str) -> ServiceName:
    for service in _SERVICES:
        if service == name:
            return service
    raise NotFound("There is no such service.")


SCREENS: Final = [
    Screen("GET", "/operations", show_operations),
    Screen("POST", "/operations/release", release_partition),
    Screen("GET", "/operations/parked/{service}", show_parked),
    Screen("POST", "/operations/parked/{service}", act_on_parked),
]

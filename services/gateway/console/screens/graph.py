"""The graph around an observable: its relations as counts by kind, which open and fold."""

import asyncio
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from services.gateway.console.api_client import Answer
from services.gateway.console.visits import ConsoleVisit, Screen

SIZES: Final = (50, 250, 1000)
"""How many relations of an open group a page may show."""
_MOST_OPEN: Final = 8
"""Groups that are open at once: each is a call."""
_FOLDED: Final = "none"
"""Stands in the address when a reader has folded every group."""


class RelationGroup(NamedTuple):
    """The relations of one kind and direction.

    Attributes:
        key: names the group in addresses: direction and kind.
        total: relations that there are, at least.
        open_after: groups that are open once a reader has opened or folded this one.
        answer: of the API, with the relations; None of a group that is folded.
    """

    key: str
    kind: str
    direction: str
    total: int
    open_after: list[str]
    answer: Answer | None


async def show_graph(visit: ConsoleVisit) -> Response:
    """The page; the groups that are open stand in its address."""
    path = f"/v1/observables/{visit.place('identity')}"
    observable, counts = await asyncio.gather(
        visit.get("observables", path), visit.get("observables", f"{path}/relations/counts")
    )
    if observable.refusal is not None:
        return visit.refused(observable.refusal)
    size = _size(visit.query("show"))
    return visit.page(
        "graph.html",
        observable=observable.document,
        counts=counts,
        groups=await _groups(visit, path, (counts.document or {}).get("items", []), size),
        size=size,
        larger=next((other for other in SIZES if other > size), None),
    )


def _size(text: str) -> int:
    return next((size for size in SIZES if text == str(size)), SIZES[0])


async def _groups(
    visit: ConsoleVisit, path: str, tallies: list[Any], size: int
) -> list[RelationGroup]:
    keys = [f"{item['direction']}:{item['kind']}" for item in tallies]
    opened = _opened(visit.request.query_params.getlist("open"), keys, tallies)
    answers = await asyncio.gather(
        *(
            visit.get(
                "observables",
                f"{path}/relations",
                direction=key.partition(":")[0],
                kind=key.partition(":")[2],
                limit=size,
            )
            for key in opened
        )
    )
    by_key = dict(zip(opened, answers, strict=True))
    return [
        RelationGroup(
            key,
            item["kind"],
            item["direction"],
            item["count"],
            _toggled(opened, key),
            by_key.get(key),
        )
        for key, item in zip(keys, tallies, strict=True)
    ]


def _opened(named: list[str], keys: list[str], tallies: list[Any]) -> list[str]:
    """The groups to open: those of the address; without any, all of an observable with few."""
    if not named and sum(item["count"] for item in tallies) <= SIZES[0]:
        named = keys
    return [key for key in keys if key in named][:_MOST_OPEN]


def _toggled(opened: list[str], key: str) -> list[str]:
    if key in opened:
        return [other for other in opened if other != key] or [_FOLDED]
    return [*opened[: _MOST_OPEN - 1], key]


SCREENS: Final = [Screen("GET", "/observables/{identity}/graph", show_graph)]

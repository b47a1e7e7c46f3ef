"""The list of observables: filtered and paged by the API, with its whole state in the address."""

import asyncio
from typing import Final

from starlette.responses import Response

from services.gateway.console.visits import ConsoleVisit, Screen
from shared.stix import ObservableType

_PAGE: Final = 100
_FILTERS: Final = ("source", "type", "min_score", "tag", "prefix", "under")


async def list_observables(visit: ConsoleVisit) -> Response:
    """A page of observables; the number of all that match stands beside it."""
    state = {name: visit.query(name) for name in _FILTERS}
    page, count, sources = await asyncio.gather(
        visit.get(
            "observables", "/v1/observables", after=visit.query("after"), limit=_PAGE, **state
        ),
        visit.get("observables", "/v1/observables/count", **state),
        visit.get("observables", "/v1/sources"),
    )
    status = page.refusal.status if page.refusal and page.refusal.status == 422 else 200
    return visit.page(
        "observables.html",
        status=status,
        answer=page,
        count=(count.document or {}).get("count"),
        sources=sources.items,
        state=state,
        types=[kind.value for kind in ObservableType],
    )


SCREENS: Final = [Screen("GET", "/observables", list_observables)]

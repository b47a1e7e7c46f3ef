"""What the gateway answers besides the routes of its API: health, and the description of all."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Scope

from services.gateway.routing.access import Gate
from services.gateway.routing.upstreams import Upstreams
from services.gateway.routing.whole_document import WholeDocument
from shared.errors import NotFound, SentinelIQError
from shared.settings import Settings
from shared.web.documentation import DOCUMENTATION_PATHS

PROBES: Final = frozenset({"/healthz", "/readyz"})
_METRICS: Final = "/metrics"
_METRICS_PERMISSION: Final = "metrics:read"
_DOCUMENT: Final = "/openapi.json"


class OwnPages:
    """The pages of a gateway.

    Args:
        app: the gateway's own API.
        settings: whether this is production, and documentation is wanted there.
        upstreams: the services.
    """

    def __init__(self, app: FastAPI, settings: Settings, upstreams: Upstreams) -> None:
        self._app = app
        self._upstreams = upstreams
        self._document = WholeDocument(app, upstreams)
        self._is_production = settings.production
        self._has_documentation = not settings.production or settings.gateway_documentation

    @staticmethod
    def is_probe(path: str) -> bool:
        """Whether a path is one that an orchestrator asks, from beside the process."""
        return path in PROBES

    async def answer(self, scope: Scope, gate: Gate) -> Response | None:
        """Answer a page; None leaves the request to the API.

        Raises:
            NotFound: the page is not for this client, or not in production.
        """
        path = scope["path"]
        if path in DOCUMENTATION_PATHS and not self._has_documentation:
            raise NotFound("This installation shows no documentation.")
        if path == _METRICS and self._is_production:
            await self._require_reader(scope, gate)
        if scope["method"] not in ("GET", "HEAD"):
            return None
        if path == "/readyz":
            return await self._readiness()
        if path == _DOCUMENT:
            return await self._document.answer(scope["headers"])
        return None

    async def _readiness(self) -> Response:
        """Whether the gateway answers, and which of the services do."""
        await run_in_threadpool(self._app.state.database.check)
        states = await self._upstreams.states()
        is_whole = all(state == "ok" for state in states.values())
        return _json({"status": "ready", "services": states, "degraded": not is_whole})

    @staticmethod
    async def _require_reader(scope: Scope, gate: Gate) -> None:
        peer = scope["client"][0]
        try:
            admission = await gate.admit(scope["method"], scope["headers"], peer)
        except SentinelIQError:
            raise NotFound("No such page.") from None
        if not admission.principal.may(_METRICS_PERMISSION):
            raise NotFound("No such page.")


def _json(body: Mapping[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")

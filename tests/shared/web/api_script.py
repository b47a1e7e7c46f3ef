"""Serve an API of two routes, without any other part: `python -m tests.shared.web.api_script PORT`.

Its database is an address where nothing listens; none of its routes asks it.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request

from shared.auth import Principal
from shared.database import Database
from shared.settings import Settings
from shared.web.app import create_api, require_permission
from shared.web.request_body import RequestBodies
from shared.web.server import run_server

SECRET = "a-secret-key-for-tests-of-more-than-32-characters"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/none"

router = APIRouter()
Reader = Annotated[Principal, require_permission("feeds:read")]
Writer = Annotated[Principal, require_permission("feeds:write")]


@router.get("/v1/hello")
async def greet(principal: Reader) -> str:
    """The caller's name."""
    return principal.actor


@router.post("/v1/body")
async def weigh(_principal: Writer, body: dict[str, Any] | list[Any]) -> int:
    """The number of parts of a JSON body."""
    return len(body)


@router.post("/v1/upload")
async def receive(request: Request, _principal: Writer) -> int:
    """The size of an upload."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return size


def main() -> None:
    """Serve until a signal ends the process."""
    settings = Settings.model_validate(
        {
            "DATABASE_URL": _NOWHERE,
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "secret_key": SECRET,
            "data_dir": Path(),
            "api_port": int(sys.argv[1]),
            "api_connections": 256,
            "api_connections_per_peer": 128,
        }
    )
    database = Database(_NOWHERE, "feeds")
    bodies = RequestBodies({"/v1/body": 8 * 1024 * 1024}, uploads=["/v1/upload"])
    app = create_api("feeds", "test", [router], settings, database, bodies=bodies)
    run_server(app, settings, lambda: None)


if __name__ == "__main__":
    main()

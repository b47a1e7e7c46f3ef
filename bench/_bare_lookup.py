"""The least that can answer: FastAPI, a psycopg connection pool, an indexed SELECT; no tenant.

One value or many; of the many, only what the table of observables has.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg_pool import AsyncConnectionPool

from shared.stix import detect
from shared.stix.ids import observable_id

_SELECT = (
    "SELECT id::text, type, value, score, first_seen FROM observables.observable "
    "WHERE tenant = %s AND id = %s"
)


@asynccontextmanager
async def _pool(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncConnectionPool(os.environ["DATABASE_URL"], min_size=8, max_size=8) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_pool)


@app.get("/v1/lookup")
async def look_up(value: str) -> Response:
    """One value, one query."""
    observable = detect(value)
    async with app.state.pool.connection() as connection:
        cursor = await connection.execute(
            _SELECT, ("public", observable_id(observable.type, observable.value))
        )
        row: Any = await cursor.fetchone()
    return Response(
        msgspec.json.encode({"value": value, "observable": row}), media_type="application/json"
    )


class Many(msgspec.Struct):
    """Values to look up."""

    values: list[str]


_SELECT_MANY = f"{_SELECT.removesuffix('id = %s')}id = ANY(%s::uuid[])"


@app.post("/v1/lookup")
async def look_up_many(request: Request) -> Response:
    """Many values, one query."""
    values = msgspec.json.decode(await request.body(), type=Many).values
    ids = []
    for value in values:
        observable = detect(value)
        ids.append(observable_id(observable.type, observable.value))
    async with app.state.pool.connection() as connection:
        cursor = await connection.execute(_SELECT_MANY, ("public", ids))
        rows: dict[str, Any] = {row[0]: row for row in await cursor.fetchall()}
    items = [
        {"value": value, "observable": rows.get(identity)}
        for value, identity in zip(values, ids, strict=True)
    ]
    return Response(msgspec.json.encode({"items": items}), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)

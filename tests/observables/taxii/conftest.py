"""Collections, and clients of TAXII over HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
import uvicorn
from starlette.testclient import TestClient

from services.observables.app import create_app
from services.observables.taxii.models import NewObject
from services.observables.taxii.moments import parse_moment
from services.observables.taxii.repository import objects
from shared.database import Database
from shared.settings import Settings

TAXII = "application/taxii+json;version=2.1"
_NAMES = UUID(int=77)


def indicator(number: int, modified: str = "2026-11-30T08:00:00.000Z") -> dict[str, Any]:
    """An indicator; the same number gives the same id."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid5(_NAMES, str(number))}",
        "created": "2026-11-30T08:00:00.000Z",
        "modified": modified,
        "pattern": f"[ipv4-addr:value = '198.51.{number >> 8 & 255}.{number & 255}']",
        "pattern_type": "stix",
        "valid_from": "2026-11-30T08:00:00Z",
    }


def new_object(stix_object: dict[str, Any]) -> NewObject:
    """An object as the writers of collections add it."""
    return NewObject(
        stix_object["id"],
        parse_moment(stix_object["modified"]) if "modified" in stix_object else None,
        stix_object["type"],
        stix_object.get("spec_version", "2.1"),
        stix_object.get("revoked", False),
        msgspec.json.encode(stix_object),
    )


def append(own: Database, collection: str, numbers: Iterator[int] | range, **changes: Any) -> int:
    """Add indicators to a collection of acme's, in one transaction."""
    new = [new_object({**indicator(number), **changes}) for number in numbers]
    with own.transaction("acme") as session:
        return objects.append_objects(session, "acme", UUID(collection), new)


def error_of(answer: Any, status: int) -> dict[str, Any]:
    """The error message of an answer with a status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == TAXII
    body: dict[str, Any] = answer.json()
    assert body["title"]
    assert body["http_status"] == str(status)
    assert all(isinstance(value, str) for value in body.get("details", {}).values())
    return body


class TaxiiClient:
    """A client of one API root.

    Args:
        client: with a token.
        root: the API root.
    """

    def __init__(self, client: TestClient, root: str = "acme") -> None:
        self.http = client
        self.root = root
        client.headers.setdefault("accept", TAXII)
        client.headers["accept"] = TAXII

    def create(self, title: str = "shared", **fields: Any) -> str:
        """Create a collection; its id."""
        body = {"title": title, "is_writable": True, **fields}
        answer = self.http.post("/v1/collections", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def get(self, path: str = "", **query: Any) -> Any:
        """The answer to a GET below the API root."""
        return self.http.get(f"/taxii2/{self.root}/{path}", params=query)

    def objects(self, collection: str, **query: Any) -> dict[str, Any]:
        """An envelope of a collection."""
        answer = self.get(f"collections/{collection}/objects/", **query)
        assert answer.status_code == 200, answer.text
        envelope: dict[str, Any] = answer.json()
        return envelope

    def post(self, collection: str, content: Any, **headers: str) -> Any:
        """The answer to objects that are posted."""
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        return self.http.post(
            f"/taxii2/{self.root}/collections/{collection}/objects/",
            content=body,
            headers={"content-type": TAXII, **headers},
        )


@pytest.fixture
def taxii(own: Database, client_for: Callable[..., TestClient]) -> TaxiiClient:
    """An administrator of acme."""
    return TaxiiClient(client_for("observables"))


@pytest.fixture
def collection(taxii: TaxiiClient) -> str:
    """A writable collection of acme's."""
    return taxii.create()


@pytest.fixture
def server(own: Database, environment: Settings) -> Iterator[str]:
    """The address of the API on a real socket."""
    database = Database(environment.database_url.get_secret_value(), "observables")
    config = uvicorn.Config(
        create_app(environment, database), port=0, log_config=None, lifespan="on"
    )
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=uvicorn_server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not uvicorn_server.started and time.monotonic() < end:
        time.sleep(0.01)
    port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    uvicorn_server.should_exit = True
    thread.join(20)

"""The OpenAPI documents tell the problems of every route, and the bodies that routes read."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shared.database import Database
from shared.settings import SERVICES, Settings
from shared.web.problems import PROBLEM_TYPE
from tests.conventions.test_permissions import OWN_ACCESS, STRANGERS

UPLOADS = {
    ("feeds", "/v1/ingest"),
    ("feeds", "/v1/preview/document"),
    ("mitre", "/v1/loads/upload"),
}


def document_of(service: str, folder: Path) -> dict[str, Any]:
    """A service's document, which needs no running part."""
    address = "postgresql://127.0.0.1/none"
    settings = Settings(
        database_url=SecretStr(address),
        celery_broker_url=SecretStr("redis://127.0.0.1/0"),
        kafka_bootstrap_servers="127.0.0.1:9092",
        secret_key=SecretStr("a-secret-key-for-tests-of-more-than-32-characters"),
        data_dir=folder,
    )
    app = import_module(f"services.{service}.app").create_app(settings, Database(address, service))
    app.openapi()
    # What is built once is given again.
    document: dict[str, Any] = app.openapi()
    return document


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def document(service: str, tmp_path: Path) -> dict[str, Any]:
    return document_of(service, tmp_path)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each route."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(value: Any) -> Iterator[str]:
    """All references of a part of a document."""
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]
    for part in parts:
        if isinstance(part, dict | list):
            yield from references(part)


def test_every_reference_leads_to_a_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(references(document)) <= {f"#/components/schemas/{name}" for name in schemas}
    assert "Problem" in schemas
    assert schemas.keys().isdisjoint({"HTTPValidationError", "ValidationError"})


def test_every_route_tells_its_problems(service: str, document: dict[str, Any]) -> None:
    # Without a token of ours: routes that ask for another credential, and the way in.
    others = OWN_ACCESS.keys() | (STRANGERS.keys() if service == "gateway" else set())
    for method, path, operation in operations(document):
        responses = operation["responses"]
        assert "503" in responses, f"{method} {path}"
        if path in {"/healthz", "/readyz"}:
            continue
        assert "security" in operation or path in others, f"{method} {path}"
        statuses = {"401", "403", "404", "422", "429"}
        if method != "get":
            statuses |= {"400", "408", "409", "413"}
        assert statuses <= responses.keys(), f"{method} {path}"
        for status in statuses:
            assert responses[status]["content"].keys() == {PROBLEM_TYPE}


def test_uploads_tell_their_body(service: str, document: dict[str, Any]) -> None:
    streamed = {
        (service, path)
        for _, path, operation in operations(document)
        if "application/octet-stream" in operation.get("requestBody", {}).get("content", {})
    }
    assert streamed == {upload for upload in UPLOADS if upload[0] == service}


def test_no_bound_of_an_integer_is_rounded(document: dict[str, Any]) -> None:
    # The document's bounds are floats, which are exact to 2**53.
    for name in ("ParkedEventIds",):
        bound = document["components"]["schemas"][name]["properties"]["ids"]["items"]["maximum"]
        assert bound <= 2**53

"""One OpenAPI document of everything, in which each service keeps its own names."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import schemathesis
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from services.gateway.routing.document import merge_documents, operations_of
from shared.settings import SERVICES


def references_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_of(inner)


def test_the_documents_of_all_services_become_one(client_for: Callable[..., TestClient]) -> None:
    documents = {service: client_for(service).app.openapi() for service in SERVICES}
    own = documents.pop("gateway")
    merged = merge_documents(own, documents)

    expected = set(operations_of(own))
    for service, document in documents.items():
        for method, path in operations_of(document):
            if path.startswith("/v1/"):
                expected.add((method, f"/api/{service}{path}"))
            elif path.startswith(("/taxii2", "/lists/")):
                expected.add((method, path))
    assert set(operations_of(merged)) == expected

    schemas = merged["components"]["schemas"]
    names = {reference.removeprefix("#/components/schemas/") for reference in references_of(merged)}
    assert names <= set(schemas)
    assert "feeds.FeedView" in schemas
    assert "Problem" in schemas
    identifiers = Counter(
        operation["operationId"]
        for item in merged["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    )
    assert [name for name, count in identifiers.items() if count > 1] == []
    readable = schemathesis.openapi.from_dict(merged)
    results = readable.get_all_operations()
    failures = [result for result in results if not isinstance(result, Ok)]
    assert failures == []


def test_a_service_that_is_away_is_named() -> None:
    own = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}
    feeds = {
        "paths": {"/v1/a": {"get": {"operationId": "a", "responses": {}}}, "/healthz": {"get": {}}},
        "components": {"schemas": {"A": {"anyOf": [{"$ref": "#/components/schemas/B"}]}, "B": {}}},
    }
    merged = merge_documents(own, {"feeds": feeds, "mitre": None})
    assert merged["info"]["x-services-away"] == ["mitre"]
    assert set(merged["paths"]) == {"/api/feeds/v1/a"}
    assert merged["paths"]["/api/feeds/v1/a"]["get"]["operationId"] == "feeds_a"
    schemas = merged["components"]["schemas"]
    assert schemas["feeds.A"] == {"anyOf": [{"$ref": "#/components/schemas/feeds.B"}]}

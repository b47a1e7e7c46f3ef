"""No text, array, mapping or number comes in without a bound, over any route of any service."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import SERVICES, Settings
from tests.conventions.inputs import unbounded_inputs

URL = "postgresql://nobody@127.0.0.1:1/none"


def document_of(service: str, folder: Path) -> dict[str, Any]:
    """The OpenAPI document of a service; nothing of it is started."""
    settings = Settings(
        database_url=SecretStr(URL),
        celery_broker_url=SecretStr("redis://127.0.0.1:1/0"),
        kafka_bootstrap_servers="127.0.0.1:1",
        secret_key=SecretStr("k" * 32),
        data_dir=folder,
    )
    own = Database(URL, service)
    try:
        document: dict[str, Any] = load_service_app(service, settings, own).openapi()
    finally:
        own.close()
    return document


@pytest.mark.parametrize("service", SERVICES)
def test_all_that_comes_in_has_bounds(service: str, tmp_path: Path) -> None:
    document = document_of(service, tmp_path)
    assert len(document["paths"]) > 5
    assert list(unbounded_inputs(document)) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string"}, "no maxLength"),
        ({"type": "integer", "minimum": 1}, "no maximum"),
        ({"type": "number", "maximum": 1}, "no minimum"),
        ({"type": "array", "items": {"type": "boolean"}}, "no maxItems"),
        ({"type": "array", "maxItems": 2, "items": {"type": "string"}}, "no maxLength"),
        ({"type": "object", "maxProperties": 9}, "x-max-bytes"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "no maxProperties"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "no maxLength"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "no maxLength"),
        ({"$ref": "#/components/schemas/Text"}, "no maxLength"),
        ({}, "x-max-bytes"),
    ],
)
def test_what_has_no_bound_is_noticed(schema: dict[str, Any], problem: str) -> None:
    body = {"content": {"application/json": {"schema": schema}}}
    document = {
        "paths": {"/v1/things": {"post": {"requestBody": body}}},
        "components": {"schemas": {"Text": {"type": "string"}}},
    }
    [line] = unbounded_inputs(document)
    assert problem in line
    assert line.startswith("POST /v1/things: body")

"""The OpenAPI document describes what answers encode: the structs, and what they refer to."""

import re
from collections.abc import Callable

import msgspec
import pytest
from starlette.testclient import TestClient

from services.observables.lookup.assembly import DatedLookupAnswer, LookupAnswers
from services.observables.lookup.read_models import AssertionView, DatedObservable
from services.observables.lookup.service import DatedExplanation, DatedPage, RelationPage
from shared.database import Database
from shared.events.feeds import Indicator
from tests.observables.conftest import chunk, handle

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    handle(own, chunk(ADDRESS))
    return client_for("observables")


def test_every_reference_of_the_document_resolves(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    components = client.get("/openapi.json").json()["components"]["schemas"]
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names >= {"DatedLookupAnswer", "LookupAnswers", "DatedObservable", "AssertionView"}
    assert names <= components.keys()


def test_answers_have_the_fields_that_are_described(client: TestClient) -> None:
    client.post("/v1/sightings", json={"sightings": [{"value": ADDRESS.value}]}).raise_for_status()
    components = client.get("/openapi.json").json()["components"]["schemas"]
    answer = client.get("/v1/lookup", params={"value": ADDRESS.value}).json()
    view = answer["observable"]
    described = {
        "DatedLookupAnswer": answer,
        "ObservableView": view,
        "AssertionView": view["assertions"][0],
        "SightingView": view["sightings"][0],
        "LookupAnswers": client.post("/v1/lookup", json={"values": [ADDRESS.value]}).json(),
        "DatedPage": client.get("/v1/observables").json(),
        "DatedObservable": client.get(f"/v1/observables/{view['id']}").json(),
        "DatedExplanation": client.get(f"/v1/observables/{view['id']}/explain").json(),
        "RelationPage": client.get(f"/v1/observables/{view['id']}/relations").json(),
        "RelationCounts": client.get(f"/v1/observables/{view['id']}/relations/counts").json(),
    }
    for name, sent in described.items():
        schema = components[name]
        assert set(schema["required"]) <= sent.keys() <= schema["properties"].keys(), name


def test_times_are_described_as_such(client: TestClient) -> None:
    components = client.get("/openapi.json").json()["components"]["schemas"]
    for schema in ("ObservableView", "AssertionView", "SightingView"):
        for name in ("first_seen", "last_seen"):
            assert components[schema]["properties"][name]["format"] == "date-time", (schema, name)


def test_answers_are_what_their_structs_decode(client: TestClient) -> None:
    lookup = client.get("/v1/lookup", params={"value": ADDRESS.value})
    answer = msgspec.json.decode(lookup.content, type=DatedLookupAnswer)
    assert answer.observable is not None
    assert msgspec.json.decode(answer.observable.assertions, type=list[AssertionView])
    many = client.post("/v1/lookup", json={"values": [ADDRESS.value]})
    assert msgspec.json.decode(many.content, type=LookupAnswers).items[0].observable is not None
    path = f"/v1/observables/{answer.observable.id}"
    for suffix, struct in {
        "": DatedObservable,
        "/explain": DatedExplanation,
        "/relations": RelationPage,
    }.items():
        msgspec.json.decode(client.get(path + suffix).content, type=struct)
    msgspec.json.decode(client.get("/v1/observables").content, type=DatedPage)

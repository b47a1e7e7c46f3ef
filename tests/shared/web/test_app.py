"""What all APIs share: problems that can be acted on, probes, metrics, traces."""

from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from shared.database import Database
from shared.errors import Conflict, Forbidden, NotFound, Unavailable, UpstreamError
from shared.settings import Settings
from shared.web.app import create_api
from shared.web.request_body import MAX_BODY_BYTES, SMALL_BODY_BYTES, RequestBodies

router = APIRouter()
ERRORS = {
    "conflict": Conflict("There is one already.", field="name"),
    "forbidden": Forbidden("Not you."),
    "missing": NotFound("There is none."),
    "upstream": UpstreamError("They are down.", retry_after=7),
    "away": Unavailable("We are down."),
    "bug": RuntimeError("the password is hunter2"),
}


class Body(BaseModel):
    number: Annotated[int, Field(ge=1)]


@router.get("/raise/{name}")
def fail(name: str) -> None:
    raise ERRORS[name]


@router.post("/body")
def take(body: Body) -> int:
    return body.number


@pytest.fixture
def client(environment: Settings, make_token: Callable[..., str]) -> Iterator[TestClient]:
    database = Database(environment.database_url.get_secret_value(), "feeds")
    bodies = RequestBodies({"/body": MAX_BODY_BYTES})
    app = create_api("feeds", "test", [router], environment, database, bodies=bodies)
    headers = {"Authorization": f"Bearer {make_token()}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as client:
        yield client
    database.close()


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("conflict", 409, "conflict"),
        ("forbidden", 403, "forbidden"),
        ("missing", 404, "not-found"),
        ("upstream", 502, "upstream-error"),
        ("away", 503, "unavailable"),
    ],
)
def test_errors_become_problem_details(
    client: TestClient, name: str, status: int, code: str
) -> None:
    answer = client.get(f"/raise/{name}")
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["type"]) == (
        status,
        status,
        f"urn:sentineliq:problem:{code}",
    )
    assert body["title"] == str(ERRORS[name])


def test_details_and_waiting_times_are_passed_on(client: TestClient) -> None:
    assert client.get("/raise/conflict").json()["field"] == "name"
    assert client.get("/raise/upstream").headers["retry-after"] == "7"
    assert client.get("/raise/away").headers["retry-after"] == "2"


def test_a_bug_tells_the_world_nothing(client: TestClient) -> None:
    answer = client.get("/raise/bug")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"number": 0}', "number"),
        ('{"number": "x"}', "number"),
        ("{}", "number"),
        ("[]", "body"),
        ('{"number": 1', "body"),
        ("\xff", "body"),
    ],
)
def test_a_bad_body_names_the_field(client: TestClient, body: str, field: str) -> None:
    answer = client.post(
        "/body", content=body.encode("latin-1"), headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    if answer.status_code == 422:
        assert answer.json()["field"] == field


def test_a_body_beyond_the_limit_is_refused_however_it_comes(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 2**20 + 2):
            yield b"x" * 2**20

    assert client.post("/body", content=pieces()).status_code == 413
    assert client.post("/body", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_body_has_a_megabyte_where_nothing_else_is_written(client: TestClient) -> None:
    assert client.post("/raise/conflict", content=b"x" * (SMALL_BODY_BYTES + 1)).status_code == 413


def test_all_but_probes_asks_for_a_token_first(client: TestClient) -> None:
    del client.headers["Authorization"]
    for method, path in [("GET", "/nowhere"), ("POST", "/body"), ("GET", "/raise/bug?nmae=x")]:
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_probes_and_metrics_answer_without_a_token(client: TestClient) -> None:
    del client.headers["Authorization"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert (
        'sentineliq_http_request_seconds_count{method="GET",route="/readyz"'
        in client.get("/metrics").text
    )


def test_an_unknown_parameter_is_refused_with_those_that_there_are(client: TestClient) -> None:
    answer = client.get("/healthz?verbose=1")
    assert answer.status_code == 200  # health routes accept any parameter
    answer = client.get("/raise/conflict?nmae=x")
    assert answer.status_code == 422
    assert answer.json()["field"] == "nmae"
    assert answer.json()["title"] == "This route has no parameter 'nmae'; it has none."


def test_unknown_routes_are_problems_too(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")

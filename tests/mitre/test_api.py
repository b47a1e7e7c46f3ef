"""The mitre API on a real database: load, look up, search, export; permissions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from services.mitre.imports.files import MAX_BYTES
from shared.database import Database
from shared.pagination import encode_cursor
from shared.settings import Settings

Clients = Callable[..., TestClient]
Run = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def operator(client_for: Clients) -> TestClient:
    return client_for("mitre", tenant="acme", role="operator")


@pytest.fixture
def viewer(client_for: Clients) -> TestClient:
    return client_for("mitre", tenant="globex", role="viewer")


@pytest.fixture
def loaded(operator: TestClient, run_pending: Run, starter: Path) -> None:
    upload(operator, starter.read_bytes(), name="attack-starter.json")
    assert run_pending()[-1]["status"] in {"succeeded", "unchanged"}


def upload(client: TestClient, content: bytes, **query: Any) -> dict[str, Any]:
    answer = client.post(
        "/v1/loads/upload", params={"name": "attack.json", **query}, content=content
    )
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_the_starter_is_loaded_and_answers_by_id(
    operator: TestClient, viewer: TestClient, run_pending: Run, starter: Path, environment: Settings
) -> None:
    created = upload(
        operator, starter.read_bytes(), name="attack-starter.json", domain="enterprise-attack"
    )
    assert (created["state"], created["requested_by"]) == ("queued", "kim@acme.example")

    outcome = run_pending()[-1]

    assert outcome["status"] == "succeeded"
    load = viewer.get(f"/v1/loads/{created['id']}").json()
    assert (load["state"], load["result"]["current"], load["error"]) == ("succeeded", True, None)
    assert (load["result"]["techniques"], load["result"]["changes"]) == (54, {"added": 54})
    assert viewer.get("/v1/loads").json()["items"][0]["id"] == created["id"]
    technique = viewer.get("/v1/techniques/t1059.001").json()
    assert (technique["name"], technique["parent"], technique["version"]) == (
        "PowerShell",
        "T1059",
        "0.18.1",
    )
    assert viewer.get("/v1/techniques/T1086").json()["revoked_by"] == "T1059.001"
    release = viewer.get("/v1/releases", params={"domain": "enterprise-attack"}).json()["items"][0]
    assert (release["version"], release["current"], release["counts"]["attack-pattern"]) == (
        "0.18.1",
        True,
        54,
    )
    assert not list((environment.data_dir / "mitre").iterdir())


@pytest.mark.usefixtures("loaded")
def test_techniques_are_found_by_text_and_by_what_they_are(viewer: TestClient) -> None:
    def search(**query: Any) -> list[str]:
        answer = viewer.get("/v1/techniques", params=query)
        assert answer.status_code == 200, answer.text
        return [item["attack_id"] for item in answer.json()["items"]]

    assert search(q="powershell")[0] == "T1059.001"
    assert search(q="T1059.001") == ["T1059.001"]
    assert "T1110" in search(q="guessing passwords")
    assert search(q='"remote desktop" -gateways') == ["T1021.001"]
    assert "T1086" in search(q="powershell", inactive=True)
    assert "T1086" not in search(q="powershell")
    assert search(parent="T1059") == ["T1059.001", "T1059.003", "T1059.004"]
    assert search(tactic="TA0040") == search(tactic="impact") == ["T1486", "T1490", "T1498"]
    assert "T1059.004" not in search(platform="windows", parent="T1059")
    assert search(domain="ics-attack") == []
    assert search(q="';--\x01 & | ! <-> (((") == []


@pytest.mark.usefixtures("loaded")
def test_pages_give_every_technique_once(viewer: TestClient) -> None:
    seen: list[str] = []
    after = None
    while True:
        page = viewer.get(
            "/v1/techniques",
            params={"limit": 10, "inactive": True, **({"after": after} if after else {})},
        )
        seen += [item["attack_id"] for item in page.json()["items"]]
        after = page.json()["next"]
        if after is None:
            break

    assert len(seen) == 54
    assert seen == sorted(set(seen))
    for query in ({"after": "nonsense"}, {"q": "a", "after": encode_cursor("T1059", "ics-attack")}):
        answer = viewer.get("/v1/techniques", params=query)
        assert (answer.status_code, answer.json()["field"]) == (422, "after")


def test_a_release_comes_out_as_it_went_in(
    operator: TestClient, viewer: TestClient, run_pending: Run, make_bundle: Callable[..., bytes]
) -> None:
    objects = [
        {"type": "malware", "id": f"malware--{uuid4()}", "name": f"é {n}\u0000"}
        for n in range(1203)
    ]
    pattern = {
        "type": "attack-pattern",
        "id": "attack-pattern--1",
        "name": "P",
        "x": [1.5, None, True, {"b": "a"}],
    }
    content = make_bundle(None, pattern, *objects, domain="mobile-attack")
    upload(operator, content, version="15.1")
    assert run_pending()[-1]["status"] == "succeeded"

    answer = viewer.get("/v1/releases/mobile-attack/15.1/bundle")

    assert answer.headers["content-type"].startswith("application/stix+json")
    assert answer.json() == json.loads(content)
    assert viewer.get("/v1/releases/mobile-attack/16.1/bundle").status_code == 404


@pytest.mark.usefixtures("loaded")
def test_a_selection_becomes_a_navigator_layer(viewer: TestClient) -> None:
    path = "/v1/releases/enterprise-attack/navigator"

    layer = viewer.get(
        path, params={"technique": ["T1059", "t1003.001:75"], "name": "Seen in May"}
    ).json()

    assert (layer["name"], layer["domain"], layer["versions"]["layer"]) == (
        "Seen in May",
        "enterprise-attack",
        "4.5",
    )
    assert [(t["techniqueID"], t.get("score")) for t in layer["techniques"]] == [
        ("T1059", None),
        ("T1003.001", 75),
    ]
    for wrong, place in (
        ("T9999", "does not have T9999"),
        ("T1059:101", "score of 0 to 100"),
        ("T1059:x", "score"),
    ):
        answer = viewer.get(path, params={"technique": wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, "technique")
        assert place in answer.json()["title"]
    assert (
        viewer.get("/v1/releases/ics-attack/navigator", params={"technique": "T0803"}).status_code
        == 404
    )


ROUTES = [
    ("GET", "/v1/techniques/T1059", "viewer", 200),
    ("GET", "/v1/techniques", "viewer", 200),
    ("GET", "/v1/releases", "viewer", 200),
    ("GET", "/v1/releases/enterprise-attack/0.18.1", "viewer", 200),
    ("GET", "/v1/releases/enterprise-attack/0.18.1/bundle", "viewer", 200),
    ("GET", "/v1/releases/enterprise-attack/navigator?technique=T1059", "viewer", 200),
    ("GET", "/v1/loads", "viewer", 200),
    ("GET", f"/v1/loads/{UUID(int=1)}", "viewer", 404),
    ("GET", "/v1/sources", "viewer", 200),
    ("PATCH", "/v1/sources/ics-attack", "operator", 200),
    ("POST", "/v1/loads", "operator", 202),
    ("POST", "/v1/loads/upload?name=x", "operator", 202),
    ("POST", "/v1/reconcile", "operator", 200),
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/loads": {"json": {"url": "http://127.0.0.1:1/attack.json"}},
    "/v1/sources/ics-attack": {"json": {"enabled": False}},
    "/v1/loads/upload?name=x": {"content": b"{}"},
}


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(("method", "path", "role", "status"), ROUTES)
def test_each_route_answers_the_roles_that_may_use_it(
    client_for: Clients, method: str, path: str, role: str, status: int
) -> None:
    body = BODIES.get(path, {}) if method != "GET" else {}

    assert client_for("mitre", role=None).request(method, path, **body).status_code == 401
    if role == "operator":
        refused = client_for("mitre", tenant="acme", role="admin").request(method, path, **body)
        assert (refused.status_code, refused.json()["type"]) == (
            403,
            "urn:sentineliq:problem:forbidden",
        )
    # ATT&CK is public: every tenant reads the same, and operators of any tenant write it.
    for tenant in ("acme", "globex"):
        assert (
            client_for("mitre", tenant=tenant, role=role).request(method, path, **body).status_code
            == status
        )


def test_bad_requests_name_the_field(operator: TestClient, viewer: TestClient) -> None:
    for body, field in (
        ({}, "body"),
        ({"domain": "nowhere"}, "domain"),
        ({"url": "ftp://example.org/a"}, "url"),
        ({"domain": "ics-attack", "version": "new"}, "version"),
        ({"domain": "ics-attack", "surprise": 1}, "surprise"),
    ):
        answer = operator.post("/v1/loads", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert operator.patch("/v1/sources/ics-attack", json={}).status_code == 422
    assert viewer.get("/v1/techniques/T12").status_code == 422
    assert viewer.get("/v1/techniques/T9999").status_code == 404
    assert viewer.get("/v1/techniques/T1059", params={"version": "3.0"}).status_code == 404
    assert viewer.get("/v1/techniques", params={"limit": 501}).json()["field"] == "limit"


def test_an_upload_that_is_too_large_leaves_nothing(
    operator: TestClient, environment: Settings
) -> None:
    before = operator.get("/v1/loads").json()["items"]
    piece = bytes(1 << 20)

    answer = operator.post(
        "/v1/loads/upload",
        params={"name": "zeros"},
        content=(piece for _ in range(MAX_BYTES // len(piece) + 1)),
    )

    assert answer.status_code == 413, answer.text
    assert operator.get("/v1/loads").json()["items"] == before
    assert not list((environment.data_dir / "mitre").glob("*.part"))


@pytest.mark.usefixtures("loaded")
def test_no_tenant_can_write_what_is_public(own: Database) -> None:
    for table in ("technique", "release", "object", "load", "source"):
        with own.transaction("acme") as session:
            assert session.execute(sa.text(f"UPDATE {table} SET tenant = tenant")).rowcount == 0
            assert session.execute(sa.text(f"DELETE FROM {table}")).rowcount == 0
    with pytest.raises(DBAPIError) as refused, own.transaction("acme") as session:
        session.execute(
            sa.text(
                "INSERT INTO source (tenant, domain, url, enabled) "
                "VALUES ('public', 'x', 'https://x.example', true)"
            )
        )
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)
    with own.transaction("globex") as session:
        assert session.scalar(sa.text("SELECT count(*) FROM technique WHERE current")) >= 54

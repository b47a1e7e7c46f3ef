"""The page that describes an API runs nothing from elsewhere."""

import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from shared.settings import SERVICES

ClientFor = Callable[..., TestClient]


@pytest.mark.parametrize("service", SERVICES)
def test_everything_that_the_page_loads_comes_from_the_api(
    service: str, client_for: ClientFor
) -> None:
    client = client_for(service, role=None)
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    for path in loaded:
        assert not re.match("[a-z]*:|//", path)
        assert client.get(f"/{path}").status_code == 200
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text
    assert re.search(r"<script>|onload=|style=", page.text) is None


def test_a_policy_lets_the_page_reach_nothing_but_the_api(client_for: ClientFor) -> None:
    client = client_for("feeds", role=None)
    for path in ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/openapi.json"):
        policy = client.get(path).headers["content-security-policy"]
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert parts["default-src"] == "'none'"
        assert (parts["script-src"], parts["connect-src"]) == ("'self'", "'self'")
        assert parts["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_describes_the_routes_and_not_itself(
    service: str, client_for: ClientFor
) -> None:
    document = client_for(service, role=None).get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert "/v1/audit" in document["paths"]
    assert not any(path.startswith("/docs") for path in document["paths"])

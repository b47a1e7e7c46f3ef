"""A gateway in this process, and persons who sign in to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import Settings

ADDRESS = "https://gateway.example"
PASSWORD = "nine blue herons at dawn"


@dataclass
class Browser:
    """A browser: it keeps cookies, and sends what pages of the gateway send."""

    client: TestClient
    session: dict[str, Any] = field(default_factory=dict)
    origin: str = ADDRESS

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request as a page does."""
        headers = {"Origin": self.origin, **options.pop("headers", {})}
        if self.session.get("csrf_token"):
            headers.setdefault("X-CSRF-Token", self.session["csrf_token"])
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Send a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """Send a POST."""
        return self.request("POST", path, json=body, **options)

    def sign_in(self, login: str, password: str = PASSWORD, **fields: Any) -> Any:
        """Sign in with a password."""
        answer = self.post("/v1/sign-in", {"login": login, "password": password, **fields})
        if answer.status_code == 200:
            self.session = answer.json()["session"]
        return answer

    def accept(self, link: str, login: str, password: str = PASSWORD) -> Any:
        """Open a link, and create the account that it invites."""
        body = {"secret": link.partition("#")[2], "login": login, "password": password}
        answer = self.post("/v1/sign-in/link/accept", body)
        if answer.status_code == 200:
            self.session = answer.json()["session"]
        return answer


@pytest.fixture
def gateway_settings(environment: Settings) -> Settings:
    """The settings of the gateway of each browser."""
    return environment.model_copy(update={"gateway_url": "http://127.0.0.1:8000"})


@pytest.fixture
def browser_for(
    environment: Settings, gateway_settings: Settings
) -> Iterator[Callable[[], Browser]]:
    """Makes browsers, each with cookies of its own."""
    with ExitStack() as stack:

        def make() -> Browser:
            database = Database(environment.database_url.get_secret_value(), "gateway")
            stack.callback(database.close)
            app = load_service_app("gateway", gateway_settings, database)
            client = TestClient(app, base_url=ADDRESS, raise_server_exceptions=False)
            return Browser(stack.enter_context(client))

        yield make


@pytest.fixture
def operator(
    browser_for: Callable[[], Browser], make_token: Callable[..., str]
) -> Callable[[str], Browser]:
    """The command line of who runs the installation, in a tenant."""

    def make(tenant: str) -> Browser:
        browser = browser_for()
        token = make_token(tenant, "operator", "operator")
        browser.client.headers["Authorization"] = f"Bearer {token}"
        return browser

    return make


@pytest.fixture
def person(
    browser_for: Callable[[], Browser], operator: Callable[[str], Browser]
) -> Callable[..., Browser]:
    """Makes persons who were invited and have signed in: `person("kim", "acme", "admin")`."""

    def make(login: str, tenant: str = "acme", role: str = "viewer") -> Browser:
        invited = operator(tenant).post("/v1/invitations", {"role": role})
        assert invited.status_code == 201, invited.text
        browser = browser_for()
        answer = browser.accept(invited.json()["link"], login)
        assert answer.status_code == 200, answer.text
        return browser

    return make

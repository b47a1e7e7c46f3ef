"""A passkey is made and used in Chromium, with an authenticator of DevTools, at `localhost`."""

import socket
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import Settings
from tests.gateway.conftest import PASSWORD
from tests.gateway.conftest import Browser as ApiBrowser
from tests.gateway.console.chromium import in_chromium, violations
from tests.gateway.console.conftest import Browser as ConsoleBrowser
from tests.gateway.console.conftest import Servers

pytestmark = in_chromium


@pytest.fixture(scope="module")
def local_site(environment: Settings, servers: Servers) -> Iterator[str]:
    """A whole gateway under a name: to addresses no passkey can be bound."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = Database(environment.database_url.get_secret_value(), "gateway")
    settings = environment.model_copy(update={"gateway_url": f"http://127.0.0.1:{port}"})
    servers.serve(load_service_app("gateway", settings, own), port)
    yield f"http://localhost:{port}"
    own.close()


@pytest.fixture
def context(chromium: Browser, local_site: str) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=local_site)
    yield context
    context.close()


@pytest.fixture
def member(operator: Callable[[str], ApiBrowser]) -> Callable[[Page], str]:
    """Lets a person come in by an invitation; returns their login."""

    def make(page: Page) -> str:
        link = operator("acme").post("/v1/invitations", {"role": "analyst"}).json()["link"]
        login = f"p{uuid4().hex[:10]}@acme.example"
        page.goto(f"/console/welcome#{link.partition('#')[2]}")
        page.get_by_role("button").last.click()
        page.fill("[name=login]", login)
        page.fill("[name=name]", "Sam")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/")
        return login

    return make


def plug_in(page: Page, *, is_verified: bool = True) -> CDPSession:
    """Plug an authenticator in, whose owner is there."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": is_verified,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools


def add_passkey(page: Page) -> None:
    """Add a passkey by keyboard alone."""
    page.goto("/console/account")
    page.focus("#field-passkey_name")
    page.keyboard.insert_text("blue key")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/account?done=saved")


def test_a_passkey_is_made_and_signs_in(
    context: BrowserContext, member: Callable[[Page], str], reports: list[str]
) -> None:
    page = context.new_page()
    page.on("console", lambda entry: reports.append(entry.text) if entry.type == "error" else None)
    plug_in(page)
    login = member(page)
    add_passkey(page)
    assert "blue key" in page.locator("section[aria-labelledby=passkeys]").inner_text()
    assert violations(page) == []
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/console/sign-in")
    assert violations(page) == []
    page.goto("/console/sign-in?next=/account")
    page.get_by_role("button", name="Sign in with a passkey").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/account")
    assert login in page.locator("main dl.facts").inner_text()
    assert reports == []


def test_a_passkey_that_was_removed_signs_nobody_in(
    context: BrowserContext, member: Callable[[Page], str]
) -> None:
    page = context.new_page()
    plug_in(page)
    member(page)
    add_passkey(page)
    section = page.locator("section[aria-labelledby=passkeys]")
    section.locator("summary").click()
    section.locator("details button").click()
    page.wait_for_url("**/console/account?done=deleted")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_selector("main .notice.bad")
    assert "The passkey is not valid here." in page.locator("main .notice.bad").inner_text()


def test_an_authenticator_that_refuses_is_told_of(
    context: BrowserContext, member: Callable[[Page], str]
) -> None:
    page = context.new_page()
    plug_in(page, is_verified=False)
    member(page)
    page.goto("/console/account")
    page.fill("#field-passkey_name", "red key")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-problem]:not([hidden])", timeout=30_000)
    assert "No passkey was made." in page.locator("[data-problem]").inner_text()
    assert page.get_by_role("button", name="Add a passkey").is_enabled()


@pytest.mark.parametrize("answer", ["", "{", "[1]", "{}", "[" * 19_000, '{"id": 7}'])
def test_an_answer_of_no_authenticator_is_refused(
    visitor: Callable[[], ConsoleBrowser], sign_in: Callable[..., ConsoleBrowser], answer: str
) -> None:
    fields = {"challenge_id": str(uuid4()), "credential": answer}
    refused = visitor().post("/sign-in/passkey", **fields)
    assert refused.status_code in {401, 422}
    assert "That did not work." in refused.text
    assert sign_in().post("/account/passkeys", passkey_name="x", **fields).status_code in {403, 422}


def test_a_page_at_an_address_says_why(chromium: Browser, local_site: str) -> None:
    context = chromium.new_context(base_url=local_site.replace("localhost", "127.0.0.1"))
    page = context.new_page()
    page.goto("/console/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_selector("[data-problem]:not([hidden])")
    assert "Passkeys are bound to a name" in page.locator("[data-problem]").inner_text()
    context.close()

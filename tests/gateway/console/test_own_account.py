"""A person changes the own password, turns one-time codes on and off, and rotates a key."""

import re
import time
from collections.abc import Callable
from html import unescape

import pyotp
import pytest

from services.gateway.credentials.one_time_codes import STEP_SECONDS
from tests.gateway.conftest import PASSWORD
from tests.gateway.conftest import Browser as ApiBrowser
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import text_of

NEXT_PASSWORD = "seven slow boats upstream"


@pytest.fixture
def member(
    visitor: Callable[[], Browser], operator: Callable[[str], ApiBrowser]
) -> Callable[[str], Browser]:
    """Makes browsers of people who have come in by an invitation."""

    def make(login: str) -> Browser:
        created = operator("acme").post("/v1/invitations", {"role": "analyst"}).json()
        browser = visitor()
        fields = {"secret": created["link"].partition("#")[2], "login": login, "name": "Sam"}
        assert browser.post("/welcome", password=PASSWORD, **fields).status_code == 303
        return browser

    return make


def test_a_password_is_changed(
    member: Callable[[str], Browser], visitor: Callable[[], Browser]
) -> None:
    browser = member("sam@acme.example")
    assert "/console/account" in browser.get("/feeds").text, "the person's name leads there"
    wrong = browser.post("/account/password", present="not it at all", password=NEXT_PASSWORD)
    assert wrong.status_code == 422
    assert NEXT_PASSWORD not in wrong.text
    short = browser.post("/account/password", present=PASSWORD, password="short")
    assert short.status_code == 422
    saved = browser.post("/account/password", present=PASSWORD, password=NEXT_PASSWORD)
    assert saved.headers["location"].endswith("?done=saved")
    other = visitor()
    former = other.post("/sign-in", login="sam@acme.example", password=PASSWORD)
    assert former.status_code == 401
    present = other.post("/sign-in", login="sam@acme.example", password=NEXT_PASSWORD)
    assert present.status_code == 303


def test_one_time_codes_are_turned_on_and_off(
    member: Callable[[str], Browser], visitor: Callable[[], Browser]
) -> None:
    browser = member("alex@acme.example")
    begun = unescape(browser.post("/account/codes").text)
    match = re.search(r"[?&]secret=([A-Z2-7]+)", begun)
    assert match is not None
    code = pyotp.TOTP(match[1])
    wrong = browser.post("/account/codes/confirm", code="000000")
    assert wrong.status_code in {401, 422}
    on = text_of(browser.post("/account/codes/confirm", code=code.now()).text)
    assert "One-time codes are on." in on
    assert match[1] not in on
    other = visitor()
    asked_page = other.post("/sign-in", login="alex@acme.example", password=PASSWORD)
    assert asked_page.status_code != 303, "a password alone is not enough any more"
    later = code.at(time.time() + STEP_SECONDS)
    assert browser.post("/account/codes/remove", code=later).status_code == 303
    assert other.post("/sign-in", login="alex@acme.example", password=PASSWORD).status_code == 303


def test_a_key_has_days_and_scopes_and_is_rotated(member: Callable[[str], Browser]) -> None:
    browser = member("robin2@acme.example")
    wrong = browser.post("/access", name="k", role="viewer", days="many")
    assert wrong.status_code == 422
    assert re.search(r'name="days"[^>]*aria-invalid="true"', wrong.text)
    fields = {"name": "nightly", "role": "viewer", "days": "7", "scope": "feeds:read"}
    issued = browser.post("/access", **fields)
    assert "The key shows this once." in text_of(issued.text)
    page = browser.get("/access").text
    assert "feeds:read" in text_of(page)
    path = re.search(r'action="/console(/access/api-keys/[^"/]+/rotate)"', page)
    assert path is not None
    rotated = browser.post(path[1])
    assert "The key shows this once." in text_of(rotated.text)


def test_a_token_has_no_password(sign_in: Callable[..., Browser]) -> None:
    page = sign_in(role="analyst").get("/account")
    assert page.status_code == 200
    assert "You are here with a token" in text_of(page.text)
    assert "/account/password" not in page.text


def test_a_provider_is_added_by_an_administrator_alone(sign_in: Callable[..., Browser]) -> None:
    browser = sign_in(role="admin")
    wrong = browser.post("/administration/providers", name="Ours", issuer="ftp:x", client_id="c")
    assert wrong.status_code == 422
    assert 'value="ftp:x"' in wrong.text
    assert re.search(r'name="issuer"[^>]*aria-invalid="true"', wrong.text)
    fields = {"name": "Ours", "issuer": "https://login.example.org", "client_id": "console"}
    rule = {"claim": "groups", "value": "soc", "role": "viewer"}
    saved = browser.post("/administration/providers", client_secret="hidden-word", **fields, **rule)
    assert saved.headers["location"].endswith("?done=saved")
    page = browser.get("/administration/providers").text
    assert "groups = soc" in page
    assert "hidden-word" not in page
    path = re.search(r'action="/console(/administration/providers/[^"]+/delete)"', page)
    assert path is not None
    assert browser.post(path[1]).headers["location"].endswith("?done=deleted")
    assert sign_in(role="analyst").get("/administration/providers").status_code == 403

"""Passkeys: registered, used to sign in, and refused when anything about them is another."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.credentials.relying_party import relying_party
from shared.errors import InvalidInput
from tests.gateway.conftest import Browser
from tests.gateway.credentials.software_authenticator import (
    PRESENT,
    SoftwareAuthenticator,
    encode,
)

LOCAL = "http://localhost:8000"
BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]


@pytest.fixture
def local(person: PersonFor) -> Callable[[], Browser]:
    """Makes persons who have signed in at `localhost`, to which passkeys can be bound."""

    def make() -> Browser:
        browser = person(f"p{uuid4().hex[:10]}@acme.example")
        at_localhost(browser)
        return browser

    return make


def at_localhost(browser: Browser) -> Browser:
    browser.client.headers["Origin"] = LOCAL
    browser.client.headers["Host"] = "localhost:8000"
    browser.origin = LOCAL
    return browser


def register(browser: Browser, authenticator: SoftwareAuthenticator, **changes: Any) -> Any:
    begun = browser.post("/v1/account/passkeys/begin").json()
    assert "options" in begun, begun
    credential = authenticator.make(begun["options"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "name": "phone"}
    return browser.post("/v1/account/passkeys", {**body, **changes})


def sign_in(browser: Browser, authenticator: SoftwareAuthenticator, **changes: Any) -> Any:
    begun = browser.post("/v1/sign-in/passkey/begin").json()
    body = {
        "challenge_id": begun["challenge_id"],
        "credential": authenticator.sign(begun["options"]),
    }
    return browser.post("/v1/sign-in/passkey", {**body, **changes})


def test_a_passkey_signs_in(local: Callable[[], Browser], browser_for: BrowserFor) -> None:
    browser = local()
    authenticator = SoftwareAuthenticator(LOCAL)
    added = register(browser, authenticator)
    assert added.status_code == 201, added.text
    answer = sign_in(at_localhost(browser_for()), authenticator)
    assert answer.status_code == 200, answer.text
    session = answer.json()["session"]
    assert (session["login"], session["methods"]) == (browser.session["login"], ["passkey"])
    [shown] = browser.get("/v1/account/passkeys").json()
    assert (shown["name"], shown["used_at"] is not None) == ("phone", True)
    place = f"/v1/account/passkeys/{shown['id']}"
    assert local().request("DELETE", place).status_code == 404, "another person's"
    assert browser.request("DELETE", place).status_code == 204
    assert sign_in(at_localhost(browser_for()), authenticator).status_code == 401


def test_a_passkey_of_another_page_is_refused(
    local: Callable[[], Browser], browser_for: BrowserFor
) -> None:
    browser = local()
    evil = SoftwareAuthenticator("https://localhost.evil.example")
    assert register(browser, evil).status_code == 422
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(browser, authenticator).status_code == 201
    authenticator.origin = "https://localhost.evil.example"
    assert sign_in(at_localhost(browser_for()), authenticator).status_code == 401


def test_nobody_but_a_verified_person_uses_a_passkey(
    local: Callable[[], Browser], browser_for: BrowserFor
) -> None:
    assert register(local(), SoftwareAuthenticator(LOCAL, flags=PRESENT)).status_code == 422
    browser = local()
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(browser, authenticator).status_code == 201
    authenticator.flags = PRESENT
    assert sign_in(at_localhost(browser_for()), authenticator).status_code == 401


def test_a_challenge_is_answered_once(
    local: Callable[[], Browser], browser_for: BrowserFor
) -> None:
    browser = local()
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(browser, authenticator).status_code == 201
    stranger = at_localhost(browser_for())
    begun = stranger.post("/v1/sign-in/passkey/begin").json()
    body = {
        "challenge_id": begun["challenge_id"],
        "credential": authenticator.sign(begun["options"]),
    }
    assert stranger.post("/v1/sign-in/passkey", body).status_code == 200
    assert stranger.post("/v1/sign-in/passkey", body).status_code == 401
    other = stranger.post("/v1/sign-in/passkey/begin").json()["challenge_id"]
    assert stranger.post("/v1/sign-in/passkey", {**body, "challenge_id": other}).status_code == 401


def test_a_copy_of_an_authenticator_is_noticed(
    local: Callable[[], Browser], browser_for: BrowserFor
) -> None:
    browser = local()
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(browser, authenticator).status_code == 201
    assert sign_in(at_localhost(browser_for()), authenticator).status_code == 200
    authenticator.count = 0
    assert sign_in(at_localhost(browser_for()), authenticator).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"response": {}},
        {"response": "text"},
        {"id": "AAAA", "rawId": "AAAA"},
        {"id": None},
        {"type": "password"},
        {"signature": encode(b"\x30\x00")},
        {"authenticatorData": encode(b"x" * 37)},
        {"authenticatorData": ""},
        {"clientDataJSON": encode(b"[]")},
        {"clientDataJSON": encode(b"\xff")},
        {"userHandle": encode(b"x" * 16)},
    ],
)
def test_a_forged_answer_is_refused(
    local: Callable[[], Browser], browser_for: BrowserFor, change: dict[str, Any]
) -> None:
    browser = local()
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(browser, authenticator).status_code == 201
    stranger = at_localhost(browser_for())
    begun = stranger.post("/v1/sign-in/passkey/begin").json()
    credential = authenticator.sign(begun["options"])
    for name, value in change.items():
        inner = name in credential["response"]
        (credential["response"] if inner else credential)[name] = value
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    assert stranger.post("/v1/sign-in/passkey", body).status_code == 401


def test_a_persons_challenge_registers_for_nobody_else(local: Callable[[], Browser]) -> None:
    first = local()
    second = local()
    begun = first.post("/v1/account/passkeys/begin").json()
    credential = SoftwareAuthenticator(LOCAL).make(begun["options"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "name": "phone"}
    assert second.post("/v1/account/passkeys", body).status_code == 422


def test_a_passkey_is_registered_once(local: Callable[[], Browser]) -> None:
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(local(), authenticator).status_code == 201
    assert register(local(), authenticator).status_code == 409


@pytest.mark.parametrize(
    ("base_url", "origin", "party"),
    [
        ("https://siq.example", None, "siq.example"),
        ("https://siq.example", "https://evil.example", "siq.example"),
        ("http://127.0.0.1:8000", "http://localhost:8000", "localhost"),
        ("http://localhost:8000", "http://localhost:8000", "localhost"),
    ],
)
def test_passkeys_are_bound_to_the_installations_name(
    base_url: str, origin: str | None, party: str
) -> None:
    assert relying_party(base_url, origin).id == party


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("http://127.0.0.1:8000", None),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "http://localhost:9000"),
        ("https://192.0.2.1", "https://localhost"),
    ],
)
def test_an_address_has_no_passkeys(base_url: str, origin: str | None) -> None:
    with pytest.raises(InvalidInput, match="is an address"):
        relying_party(base_url, origin)

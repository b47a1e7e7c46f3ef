"""Sign-ins between whose steps the account changes: what was checked must be so at the end."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pyotp
import pytest

from services.gateway.sign_in import service
from shared.settings import Settings
from tests.gateway.conftest import PASSWORD, Browser
from tests.gateway.credentials.software_authenticator import SoftwareAuthenticator
from tests.gateway.credentials.test_passkeys import LOCAL, at_localhost, register
from tests.gateway.credentials.test_passkeys import sign_in as sign_in_by_passkey
from tests.gateway.sign_in.test_sign_in import execute

BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]
NEW_PASSWORD = "seven grey geese at noon"


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def act_after(
    monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], Any], answers: list[int]
) -> None:
    """Let another browser act once, after a step of a sign-in and before the next."""
    original = getattr(service, step)

    def run_step(*arguments: Any) -> Any:
        result = original(*arguments)
        monkeypatch.setattr(service, step, original)
        answers.append(act().status_code)
        return result

    monkeypatch.setattr(service, step, run_step)


def add_codes(browser: Browser) -> pyotp.TOTP:
    totp = pyotp.TOTP(browser.post("/v1/account/one-time-codes").json()["secret"])
    confirmed = browser.post("/v1/account/one-time-codes/confirm", {"code": totp.now()})
    assert confirmed.status_code == 200, confirmed.text
    return totp


def test_a_reset_between_check_and_session_leaves_no_session(
    person: PersonFor, browser_for: BrowserFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = new_login()
    member = person(login)
    admin = person(new_login(), role="admin")
    link = admin.post(f"/v1/members/{member.session['person_id']}/reset").json()["link"]
    body = {"secret": link.partition("#")[2], "password": NEW_PASSWORD}
    answers: list[int] = []
    owner = browser_for()
    act_after(
        monkeypatch,
        "check_password",
        lambda: owner.post("/v1/sign-in/link/accept", body),
        answers,
    )
    thief = browser_for()
    assert thief.sign_in(login).status_code == 401
    assert answers == [204]
    assert thief.get("/v1/session").status_code == 401
    assert browser_for().sign_in(login, NEW_PASSWORD).status_code == 200


def test_a_change_of_the_password_between_check_and_session_leaves_no_session(
    person: PersonFor, browser_for: BrowserFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = new_login()
    owner = person(login)
    answers: list[int] = []
    body = {"present": PASSWORD, "password": NEW_PASSWORD}
    act_after(
        monkeypatch,
        "check_password",
        lambda: owner.request("PUT", "/v1/account/password", json=body),
        answers,
    )
    assert browser_for().sign_in(login).status_code == 401
    assert answers == [204]
    assert len(owner.get("/v1/sessions").json()) == 1, "the owner's own goes on"


def test_codes_that_count_meanwhile_are_asked_for(
    person: PersonFor, browser_for: BrowserFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = new_login()
    owner = person(login)
    totp = pyotp.TOTP(owner.post("/v1/account/one-time-codes").json()["secret"])
    answers: list[int] = []
    body = {"code": totp.now()}
    act_after(
        monkeypatch,
        "codes_since",
        lambda: owner.post("/v1/account/one-time-codes/confirm", body),
        answers,
    )
    answer = browser_for().sign_in(login)
    assert (answer.status_code, answers) == (401, [200])
    assert answer.json()["type"].endswith("second-factor-required")


def test_a_code_of_other_codes_opens_nothing(
    person: PersonFor,
    browser_for: BrowserFor,
    environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login = new_login()
    owner = person(login)
    totp = add_codes(owner)

    def replace_codes() -> Any:
        # The code of this half minute is used up, so that the rows themselves are changed.
        execute(
            environment,
            "UPDATE gateway.one_time_code SET confirmed_at = now() WHERE person_id = %s",
            owner.session["person_id"],
        )
        return owner.get("/v1/session")

    answers: list[int] = []
    act_after(monkeypatch, "check_code", replace_codes, answers)
    execute(
        environment,
        "UPDATE gateway.one_time_code SET last_step = 0 WHERE person_id = %s",
        owner.session["person_id"],
    )
    assert browser_for().sign_in(login, code=totp.now()).status_code == 401
    assert answers == [200]


@pytest.mark.parametrize("step", ["check_password", "codes_since"])
def test_a_person_who_is_frozen_meanwhile_gets_no_session(
    step: str,
    person: PersonFor,
    browser_for: BrowserFor,
    environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login = new_login()
    owner = person(login)

    def freeze() -> Any:
        person_id = owner.session["person_id"]
        execute(environment, "UPDATE gateway.person SET frozen_at = now() WHERE id = %s", person_id)
        return owner.get("/v1/session")

    answers: list[int] = []
    act_after(monkeypatch, step, freeze, answers)
    answer = browser_for().sign_in(login)
    assert (answer.status_code, answers) == (401, [401])
    assert "frozen" in answer.json()["title"]


def test_a_passkey_that_is_removed_meanwhile_opens_nothing(
    person: PersonFor, browser_for: BrowserFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = at_localhost(person(new_login()))
    authenticator = SoftwareAuthenticator(LOCAL)
    assert register(owner, authenticator).status_code == 201
    [passkey] = owner.get("/v1/account/passkeys").json()
    answers: list[int] = []
    act_after(
        monkeypatch,
        "person_of_passkey",
        lambda: owner.request("DELETE", f"/v1/account/passkeys/{passkey['id']}"),
        answers,
    )
    assert sign_in_by_passkey(at_localhost(browser_for()), authenticator).status_code == 401
    assert answers == [204]

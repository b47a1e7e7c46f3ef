"""The way in: the first link, a password, a second person, a second factor, and out again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pyotp
import pytest

from services.gateway.sessions.cookies import COOKIE
from shared.auth import Role
from shared.settings import Settings
from tests.gateway.conftest import PASSWORD, Browser

BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]
OperatorOf = Callable[[str], Browser]


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def execute(settings: Settings, statement: str, *values: object) -> None:
    """Change rows as the owner of the database."""
    url = settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET sentineliq.tenant = '*'")
        connection.execute(statement.encode(), values)


def test_a_link_makes_an_account_and_signs_in(
    operator: OperatorOf, browser_for: BrowserFor
) -> None:
    created = operator("acme").post("/v1/invitations", {"role": "operator", "minutes": 10}).json()
    assert "#siqi_" in created["link"]
    browser = browser_for()
    secret = created["link"].partition("#")[2]
    shown = browser.post("/v1/sign-in/link", {"secret": secret}).json()
    assert (shown["tenant"], shown["role"], shown["is_reset"]) == ("acme", "operator", False)
    login = new_login()
    answer = browser.accept(created["link"], login)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=siqb_")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert answer.json()["token"] is None, "no script can read the session"
    session = browser.get("/v1/session").json()
    assert (session["login"], session["tenant"], session["role"]) == (login, "acme", "operator")
    assert browser.accept(created["link"], new_login()).status_code == 401, "it counts once"
    assert browser.post("/v1/sign-in/link", {"secret": secret}).status_code == 401


def test_a_link_ends_after_its_time(
    operator: OperatorOf, browser_for: BrowserFor, environment: Settings
) -> None:
    created = operator("acme").post("/v1/invitations", {"minutes": 10}).json()
    invitation_id = created["invitation"]["id"]
    execute(
        environment,
        "UPDATE gateway.invitation SET expires_at = now() - interval '1 second' WHERE id = %s",
        invitation_id,
    )
    assert browser_for().accept(created["link"], new_login()).status_code == 401


def test_of_two_who_open_a_link_at_a_time_one_gets_in(
    operator: OperatorOf, browser_for: BrowserFor
) -> None:
    link = operator("acme").post("/v1/invitations", {"role": "viewer"}).json()["link"]
    browsers = [browser_for() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda browser: browser.accept(link, new_login()), browsers)
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


def test_a_person_signs_in_and_out(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    person(login)
    browser = browser_for()
    assert browser.get("/v1/session").status_code == 401
    answer = browser.sign_in(login.upper())
    assert answer.status_code == 200, answer.text
    assert browser.get("/v1/members").status_code == 403, "a viewer lists no members"
    assert len(browser.get("/v1/sessions").json()) == 2
    before = dict(browser.client.cookies)
    assert browser.request("DELETE", "/v1/session").status_code == 204
    browser.client.cookies.update(before)
    assert browser.get("/v1/session").status_code == 401, "the old cookie opens nothing"


@pytest.mark.parametrize("login", ["", "nobody@acme.example"])
def test_a_wrong_password_and_no_account_are_the_same(
    person: PersonFor, browser_for: BrowserFor, login: str
) -> None:
    own = new_login()
    person(own)
    answer = browser_for().sign_in(login or own, "not the right password")
    assert answer.status_code == 401
    assert answer.json()["title"] == "The login or the password is wrong."


def test_ten_wrong_guesses_end_the_guessing_for_this_account_alone(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    login = new_login()
    other = new_login()
    person(login)
    person(other)
    browser = browser_for()
    with ThreadPoolExecutor(8) as pool:
        guesses = pool.map(lambda number: browser.sign_in(login, f"wrong {number}"), range(30))
        codes = [answer.status_code for answer in guesses]
    assert sorted(set(codes)) == [401, 429]
    assert codes.count(401) == 10
    refused = browser.sign_in(login)
    assert refused.status_code == 429, "the right password comes too late as well"
    assert 3000 < int(refused.headers["retry-after"]) <= 3600
    assert browser_for().sign_in(other).status_code == 200


def test_right_passwords_do_not_count(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    person(login)
    assert {browser_for().sign_in(login).status_code for _ in range(12)} == {200}


def test_guesses_at_an_account_that_does_not_exist_count_as_well(browser_for: BrowserFor) -> None:
    browser = browser_for()
    login = new_login()
    codes = [browser.sign_in(login, "a wrong password").status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]


def test_one_time_codes_are_asked_for_and_count_once(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    login = new_login()
    browser = person(login)
    created = browser.post("/v1/account/one-time-codes").json()
    totp = pyotp.TOTP(created["secret"])
    assert browser_for().sign_in(login).status_code == 200, "not confirmed yet"
    confirmed = browser.post("/v1/account/one-time-codes/confirm", {"code": totp.now()})
    assert confirmed.status_code == 200, confirmed.text
    recovery = confirmed.json()["codes"]
    assert browser.post("/v1/account/one-time-codes").status_code == 409

    asked_for = browser_for().sign_in(login)
    assert asked_for.status_code == 401
    assert asked_for.json()["type"].endswith("second-factor-required")
    used = browser_for().sign_in(login, code=totp.now())
    assert used.status_code == 401, "the code of the confirmation was used up"

    assert browser_for().sign_in(login, code=recovery[0]).status_code == 200
    assert browser_for().sign_in(login, code=recovery[0]).status_code == 401, "it counts once"
    answer = browser_for().sign_in(login, code=recovery[1].upper())
    assert answer.json()["session"]["methods"] == ["password", "recovery-code"]


def test_guesses_of_codes_are_limited(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    browser = person(login)
    secret = browser.post("/v1/account/one-time-codes").json()["secret"]
    code = pyotp.TOTP(secret).now()
    assert browser.post("/v1/account/one-time-codes/confirm", {"code": code}).status_code == 200
    wrong = [browser_for().sign_in(login, code=f"{number:06}") for number in range(11)]
    statuses = [answer.status_code for answer in wrong]
    assert statuses == [401] * 10 + [429]


def test_a_change_needs_the_csrf_token_and_an_own_origin(person: PersonFor) -> None:
    browser = person(new_login())
    token = browser.session["csrf_token"]
    for headers in (
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": token, "Origin": "https://evil.example"},
        {"X-CSRF-Token": token, "Origin": "null"},
    ):
        answer = browser.post("/v1/api-keys", {"name": "a"}, headers=headers)
        assert answer.status_code == 403, headers
        assert browser.request("DELETE", "/v1/session", headers=headers).status_code == 403
    assert browser.post("/v1/api-keys", {"name": "a"}).status_code == 201


def test_another_sites_page_cannot_sign_a_browser_in(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    login = new_login()
    person(login)
    body = {"login": login, "password": PASSWORD}
    evil = {"Origin": "https://evil.example"}
    assert browser_for().post("/v1/sign-in", body, headers=evil).status_code == 403


def test_sessions_are_listed_and_ended(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    first = person(login)
    second = browser_for()
    second.sign_in(login)
    listed = second.get("/v1/sessions").json()
    assert [entry["is_current"] for entry in listed] == [True, False]
    other = listed[1]["id"]
    assert person(new_login()).request("DELETE", f"/v1/sessions/{other}").status_code == 404
    assert second.request("DELETE", f"/v1/sessions/{other}").status_code == 204
    assert first.get("/v1/session").status_code == 401
    assert second.request("DELETE", "/v1/sessions").json() == {"ended": 1}
    assert second.get("/v1/session").status_code == 401


def test_the_command_line_gets_a_token(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    person(login, role="admin")
    program = browser_for()
    answer = program.sign_in(login, device="command-line")
    token = answer.json()["token"]
    assert token.startswith("siqs_")
    assert "set-cookie" not in answer.headers
    program.session = {}
    program.client.headers["Authorization"] = f"Bearer {token}"
    assert program.get("/v1/session").json()["csrf_token"] is None
    assert program.get("/v1/members").status_code == 200
    assert program.request("DELETE", "/v1/session").status_code == 204
    assert program.get("/v1/session").status_code == 401


def test_a_reset_link_sets_a_password_and_ends_all_sessions(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    login = new_login()
    member = person(login)
    admin = person(new_login(), role="admin")
    created = admin.post(f"/v1/members/{member.session['person_id']}/reset")
    assert created.status_code == 201, created.text
    body = {"secret": created.json()["link"].partition("#")[2], "password": "short"}
    assert browser_for().post("/v1/sign-in/link/accept", body).status_code == 422
    body["password"] = "seven grey geese at noon"
    assert browser_for().post("/v1/sign-in/link/accept", body).status_code == 204
    assert member.get("/v1/session").status_code == 401
    assert browser_for().sign_in(login).status_code == 401
    assert browser_for().sign_in(login, "seven grey geese at noon").status_code == 200


@pytest.mark.parametrize("change", ["joins another tenant", "becomes an operator"])
def test_a_reset_link_ends_when_its_person_is_no_longer_its_makers_to_reset(
    person: PersonFor, browser_for: BrowserFor, environment: Settings, change: str
) -> None:
    login = new_login()
    member = person(login)
    admin = person(new_login(), role="admin")
    created = admin.post(f"/v1/members/{member.session['person_id']}/reset")
    secret = created.json()["link"].partition("#")[2]
    if change == "joins another tenant":
        execute(
            environment,
            "INSERT INTO gateway.member (tenant, person_id, role, origin, created_by) "
            "SELECT 'globex', id, 'viewer', 'invitation', 'x' FROM gateway.person WHERE login = %s",
            login,
        )
    else:
        execute(
            environment,
            "UPDATE gateway.member SET role = 'operator' WHERE person_id = "
            "(SELECT id FROM gateway.person WHERE login = %s)",
            login,
        )
    body = {"secret": secret, "password": "seven grey geese at noon"}
    assert browser_for().post("/v1/sign-in/link/accept", body).status_code == 401
    assert browser_for().sign_in(login).status_code == 200


def test_a_person_changes_the_password(person: PersonFor, browser_for: BrowserFor) -> None:
    login = new_login()
    browser = person(login)
    body = {"present": "wrong", "password": "seven grey geese at noon"}
    assert browser.request("PUT", "/v1/account/password", json=body).status_code == 401
    body["present"] = PASSWORD
    other = browser_for()
    assert other.sign_in(login).status_code == 200
    assert browser.request("PUT", "/v1/account/password", json=body).status_code == 204
    assert browser.get("/v1/session").status_code == 200
    assert other.get("/v1/session").status_code == 401
    assert browser_for().sign_in(login).status_code == 401
    assert browser_for().sign_in(login, "seven grey geese at noon").status_code == 200


def test_a_break_glass_account_raises_an_alert(
    person: PersonFor, browser_for: BrowserFor, environment: Settings
) -> None:
    login = new_login()
    person(login, role="admin")
    execute(environment, "UPDATE gateway.person SET is_break_glass = true WHERE login = %s", login)
    browser = browser_for()
    assert browser.sign_in(login).status_code == 200
    audit = browser.get("/v1/audit", params={"action": "break_glass.use"}).json()["items"]
    assert [record["actor"] for record in audit] == [login]


@pytest.mark.parametrize("role", [role.name for role in Role])
def test_a_session_has_the_permissions_of_its_role(person: PersonFor, role: str) -> None:
    session = person(new_login(), role=role).session
    assert session["role"] == role
    assert ("members:write" in session["permissions"]) == (Role[role] >= Role.admin)
